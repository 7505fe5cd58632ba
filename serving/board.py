"""The newest bar of many symbols: a board, on which a symbol without an answer says why.

A few symbols are quickest here. For hundreds, again and again,
:class:`serving.board_processes.BoardProcesses` keeps processes that share the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from features.errors import WindowError
from features.history import History
from features.parallel.outcomes import Outcome, attempt
from serving.predictor import Predictor
from serving.schemas import Answer

__all__ = ["board"]


def board(
    predictor: Predictor, histories: Sequence[History], *, as_of: pd.Timestamp | None = None
) -> list[Outcome[Answer]]:
    """Answer for the last bar of each history.

    Parameters
    ----------
    predictor : Predictor
    histories : sequence of History
        Each with a window's length at least. For a model that looks across markets they carry their
        context; where :func:`features.context.with_context` made it for all of them together, what is the
        same for every symbol is computed once.
    as_of : pandas.Timestamp, optional
        Moment of the question, for all of them; each one's last close by default.

    Returns
    -------
    list of Outcome
        In the order of ``histories``: ``result`` is exactly what :meth:`Predictor.answer` says of the
        symbol alone, or ``error`` is why there is none. Whatever is wrong with one symbol stops no
        other.
    """
    return [_answered(predictor, history, as_of) for history in histories]


def _answered(predictor: Predictor, history: History, as_of: pd.Timestamp | None) -> Outcome[Answer]:
    def answer(symbol: str, _tell: object) -> Answer:
        interval = predictor.manifest.interval
        if history.interval != interval:
            raise WindowError(
                f"{symbol}: the bars are of {history.interval}, this model reads {interval}",
                code="wrong_interval",
                field="interval",
            )
        return predictor.answer(history, as_of=as_of)

    return attempt(answer, history.symbol, _nobody)


def _nobody(_symbol: str, _done: int, _total: int) -> None:
    """Hear nothing of the steps: a symbol's answer has none."""
