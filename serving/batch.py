"""Many windows at once. No web types.

Each window is answered as if it had come alone. Windows of one symbol that overlap, as those of a backfill
do, are laid over one another first and read by the model in one run: everything that is computed of a bar
depends on its window alone, so the answers are the same to the bit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import BearmodeError
from features.history import History
from features.raw import interval_delta
from serving.live_model import AnyPredictor
from serving.predictor import Predictor
from serving.question import Question, question_of
from serving.schemas import Answer, PredictRequest

__all__ = ["answer_batch"]

logger = logging.getLogger("bearmode.serving")


@dataclass(frozen=True)
class _Asked:
    """A question and its place in the batch."""

    place: int
    question: Question
    values: FloatArray
    """Of the window and its context, shape (n_bars, n_columns)."""


@dataclass
class _Run:
    """Questions whose windows lie in one history, oldest first, and the rows that each one adds."""

    asked: list[_Asked]
    added: list[int]

    @property
    def end(self) -> pd.Timestamp:
        """Close of the last bar."""
        end: pd.Timestamp = self.asked[-1].question.history.time[-1]
        return end

    @property
    def history(self) -> History:
        """All the windows, laid over one another."""
        first = self.asked[0].question.history
        if not any(self.added):
            return first
        windows = [one.question.history for one in self.asked]
        tails = [(window, len(window) - more) for window, more in zip(windows, self.added, strict=True)]
        return replace(
            first,
            frame=pd.concat([first.frame, *(window.frame.iloc[start:] for window, start in tails[1:])]),
            context={
                name: np.concatenate([closes, *(window.context[name][start:] for window, start in tails[1:])])
                for name, closes in first.context.items()
            },
        )


def answer_batch(
    predictor: AnyPredictor, requests: Sequence[PredictRequest | BearmodeError], *, now: pd.Timestamp
) -> list[Answer | BearmodeError]:
    """Answer some windows.

    Parameters
    ----------
    predictor : Predictor
    requests : sequence of PredictRequest or BearmodeError
        An error stands for a window that could not be read, and comes back.
    now : pandas.Timestamp
        Stands in for ``as_of`` where a request names none.

    Returns
    -------
    list of Answer or BearmodeError
        In the order of the requests: exactly what :meth:`Predictor.predict` says or raises.
    """
    if not isinstance(predictor, Predictor):
        return [
            one if isinstance(one, BearmodeError) else _attempted(partial(predictor.predict, one, now=now))
            for one in requests
        ]
    found: list[Answer | BearmodeError] = [
        one if isinstance(one, BearmodeError) else _internal() for one in requests
    ]
    asked = []
    for place, request in enumerate(requests):
        if isinstance(request, BearmodeError):
            continue
        try:
            question = question_of(request, predictor.manifest, now=now)
        except BearmodeError as error:
            found[place] = error
        else:
            asked.append(_Asked(place, question, _values(question.history)))
    for run in _runs(asked, predictor):
        for one, answer in zip(run.asked, _answered(predictor, run), strict=True):
            found[one.place] = answer
    return found


def _answered(predictor: Predictor, run: _Run) -> list[Answer | BearmodeError]:
    """Answers of a run; where it fails as a whole, each window is answered by itself."""
    questions = [one.question for one in run.asked]
    try:
        return predictor.answer_several(run.history, questions)
    except Exception:
        logger.exception("a run of %d windows failed", len(questions))
    return [
        _attempted(
            partial(predictor.answer, one.history, as_of=one.as_of, account=one.account, extra=one.degraded)
        )
        for one in questions
    ]


def _attempted(answer: Callable[[], Answer]) -> Answer | BearmodeError:
    try:
        return answer()
    except BearmodeError as error:
        return error if error.status != 500 else _internal()
    except Exception:
        logger.exception("a window of a batch failed")
        return _internal()


def _internal() -> BearmodeError:
    """What a failure of the service's own is called: its text is for the log."""
    return BearmodeError("the service failed on this window", hint="its log says more under the X-Request-Id")


def _values(history: History) -> FloatArray:
    columns = [history.column(str(name)) for name in history.frame]
    return np.column_stack([*columns, *history.context.values()])


def _runs(asked: Sequence[_Asked], predictor: Predictor) -> list[_Run]:
    """Questions put together where their windows overlap and agree, else alone."""
    manifest = predictor.manifest
    reach = manifest.decision.smoothing_bars * interval_delta(manifest.interval)
    open_runs: dict[tuple[object, ...], _Run] = {}
    runs: list[_Run] = []
    for one in sorted(asked, key=lambda one: (one.question.history.time[-1], one.place)):
        history = one.question.history
        key = (history.symbol, tuple(history.frame), tuple(history.context))
        run = open_runs.get(key)
        whole = len(history) == manifest.window_bars
        if run is None or not whole or history.time[-1] - run.end > reach or not _extended(run, one):
            run = _Run([one], [0])
            runs.append(run)
            if whole:
                open_runs[key] = run
    return runs


def _extended(run: _Run, one: _Asked) -> bool:
    """Lay a window over the end of a run; whether it agrees with what is there."""
    window = one.question.history
    more = int((window.time > run.end).sum())
    shared = len(window) - more
    before = run.asked[-1].values
    if not np.array_equal(before[len(before) - shared :], one.values[:shared], equal_nan=True):
        return False
    run.asked.append(one)
    run.added.append(more)
    return True
