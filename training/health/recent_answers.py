"""What was answered of late, by models that had not seen the labels: the champion and the walk's folds.

A champion that is retrained every day has, by itself, no confirmed label to be judged by: labels take
20 days and more. So each bar up to the end of its training is answered by the fold of its own walk
that could have existed then, and the bars after that by the champion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.history import History
from features.raw import interval_delta
from features.regimes import REGIMES, hindsight_regimes
from serving.predictor import Predictor
from training.dataset import ROW_HOURS
from training.promotion import walk_forward_folder

__all__ = ["Answering", "RecentAnswers", "answering_models", "recent_answers", "sampled_bars"]


@dataclass(frozen=True)
class Answering:
    """A model and the bars that it answers: closes from ``start`` on, before ``end``."""

    name: str
    predictor: Predictor
    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class RecentAnswers:
    """Answered bars at 00, 06, 12 and 18 UTC, symbol after symbol; arrays of shape (n_rows, ...).

    Attributes
    ----------
    time : pandas.DatetimeIndex
        Bar closes.
    symbol : ndarray of int
    probabilities : ndarray of shape (n_rows, 4)
    regime : ndarray of int
        As answered.
    sets : ndarray of bool, shape (n_rows, 4)
    novelty : ndarray
        Percentile among the rows that the model learned from; NaN where it cannot be said.
    y : ndarray of int
        The label, -1 where it is not confirmed yet.
    spell : ndarray of int
        Number of the unbroken run of one label, -1 where unlabelled.
    model : ndarray of int
        Index into ``models``.
    models : tuple of str
    """

    time: pd.DatetimeIndex
    symbol: npt.NDArray[np.int64]
    probabilities: FloatArray
    regime: npt.NDArray[np.int64]
    sets: npt.NDArray[np.bool_]
    novelty: FloatArray
    y: npt.NDArray[np.int64]
    spell: npt.NDArray[np.int64]
    model: npt.NDArray[np.int64]
    models: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def confirmed(self) -> npt.NDArray[np.bool_]:
        """Rows whose label is known."""
        return np.asarray(self.y >= 0)

    def part(self, rows: npt.NDArray[np.bool_]) -> RecentAnswers:
        """Only some of the rows."""
        return RecentAnswers(
            self.time[rows],
            self.symbol[rows],
            self.probabilities[rows],
            self.regime[rows],
            self.sets[rows],
            self.novelty[rows],
            self.y[rows],
            self.spell[rows],
            self.model[rows],
            self.models,
        )


def answering_models(predictor: Predictor, since: pd.Timestamp, until: pd.Timestamp) -> list[Answering]:
    """Models whose answers of a span are out of sample, oldest first.

    Parameters
    ----------
    predictor : Predictor
        The champion.
    since, until : pandas.Timestamp
        Bar closes, ``since`` included, ``until`` excluded.

    Returns
    -------
    list of Answering
        Only the champion where there are no walk-forward models beside it.
    """
    trained = pd.Timestamp(predictor.manifest.training.trained_until)
    first = trained + interval_delta(predictor.manifest.interval)
    folder = walk_forward_folder(predictor.bundle.folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    starts = [pd.Timestamp(f"{name}-01", tz="UTC") for name in names]
    spans = []
    for name, start, end in zip(names, starts, [*starts[1:], until], strict=True):
        begin, stop = max(start, since), min(end, until, first)
        if begin < stop:
            spans.append(Answering(f"fold {name}", Predictor.load(folder / name), begin, stop))
    if max(first, since) < until:
        spans.append(Answering("champion", predictor, max(first, since), until))
    return spans


def recent_answers(histories: Sequence[History], models: Sequence[Answering]) -> RecentAnswers:
    """Answer the bars of some histories, and put the labels beside them that are confirmed by their end.

    Parameters
    ----------
    histories : sequence of History
        Whole histories, with the context that the models need, cut to the moment of the question.
    models : sequence of Answering
    """
    parts: list[RecentAnswers] = []
    spells = 0
    names = tuple(model.name for model in models)
    for index, history in enumerate(histories):
        y = hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)
        turns = np.diff(y, prepend=-2) != 0
        spell = np.where(y >= 0, spells + np.cumsum(turns), -1)
        spells += int(turns.sum())
        sampled = sampled_bars(history.time, history.per_day)
        for number, model in enumerate(models):
            inside = np.flatnonzero(np.asarray((history.time >= model.start) & (history.time < model.end)))
            if not len(inside):
                continue
            begin, end = int(inside[0]), int(inside[-1]) + 1
            window = model.predictor.manifest.window_bars
            decided = model.predictor.decided(history.part(max(0, begin + 1 - window), end), end - begin)
            keep = decided.answered & sampled[begin:end]
            parts.append(
                RecentAnswers(
                    time=decided.time[keep],
                    symbol=np.full(int(keep.sum()), index, dtype=np.int64),
                    probabilities=decided.probabilities[keep],
                    regime=decided.decision.regime[keep],
                    sets=decided.sets[keep],
                    novelty=decided.novelty[keep],
                    y=y[begin:end][keep],
                    spell=spell[begin:end][keep],
                    model=np.full(int(keep.sum()), number, dtype=np.int64),
                    models=names,
                )
            )
    return _joined(parts, names)


def sampled_bars(time: pd.DatetimeIndex, per_day: float) -> npt.NDArray[np.bool_]:
    """Bars that training and scores are made of: those at 00, 06, 12 and 18 UTC, all of slower ones."""
    step = ROW_HOURS if per_day >= 24 else 1
    return np.asarray(time.hour % step == 0)


def _joined(parts: list[RecentAnswers], names: tuple[str, ...]) -> RecentAnswers:
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        empty = np.zeros((0, len(REGIMES)))
        time = pd.DatetimeIndex([], tz="UTC")
        sets = empty.astype(bool)
        return RecentAnswers(time, none, empty, none, sets, empty[:, 0], none, none, none, names)
    stamps = np.concatenate([part.time.as_unit("ms").asi8 for part in parts])
    return RecentAnswers(
        time=pd.DatetimeIndex(stamps.astype("M8[ms]"), tz="UTC"),
        symbol=np.concatenate([part.symbol for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        regime=np.concatenate([part.regime for part in parts]),
        sets=np.concatenate([part.sets for part in parts]),
        novelty=np.concatenate([part.novelty for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        spell=np.concatenate([part.spell for part in parts]),
        model=np.concatenate([part.model for part in parts]),
        models=names,
    )
