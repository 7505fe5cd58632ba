"""Performance before the labels confirm, and after.

Under calibration the expected log loss of a row is the entropy of its probabilities, and the chance
that the answered regime is right is its probability (confidence-based performance estimation). That
is known at once; what came of it, 20 to 34 days later. The gap between both says how far the model is
from meaning what it says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.regimes import REGIMES
from training.evaluation import scores
from training.health.recent_answers import RecentAnswers

__all__ = ["Month", "Recent", "by_month", "entropy", "last_confirmed"]


@dataclass(frozen=True)
class Month:
    """Expected and realised performance of the bars of a calendar month.

    Attributes
    ----------
    month : str
        Such as ``2024-03``.
    models : str
        Which answered.
    rows : int
    confirmed : float
        Share of rows whose label is known.
    expected_log_loss, expected_accuracy : float
        Of all rows.
    realised_log_loss, realised_accuracy : float
        Of the confirmed rows; NaN where there is none.
    gap : float
        Realised less expected log loss, both of the confirmed rows.
    spells : int
        Independent spells among the confirmed rows.
    """

    month: str
    models: str
    rows: int
    confirmed: float
    expected_log_loss: float
    expected_accuracy: float
    realised_log_loss: float
    realised_accuracy: float
    gap: float
    spells: int


@dataclass(frozen=True)
class Recent:
    """The last confirmed days.

    Attributes
    ----------
    since, until : pandas.Timestamp
        First and last bar that is counted.
    rows, spells : int
    expected_log_loss, realised_log_loss, gap : float
        Of the same rows.
    coverage, set_size : float
        Share of prediction sets that held the truth, and regimes in them on average.
    recall : dict of str to float
        By regime; NaN where it did not come.
    spells_of : dict of str to int
    """

    since: pd.Timestamp
    until: pd.Timestamp
    rows: int
    spells: int
    expected_log_loss: float
    realised_log_loss: float
    gap: float
    coverage: float
    set_size: float
    recall: dict[str, float]
    spells_of: dict[str, int]


def entropy(probabilities: FloatArray) -> FloatArray:
    """Expected log loss of each row, nats, if its probabilities mean what they say.

    Examples
    --------
    >>> entropy(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0]])).round(3)
    array([1.386, 0.   ])
    """
    certain = np.clip(probabilities, 1e-15, 1.0)
    return np.asarray(-(probabilities * np.log(certain)).sum(axis=1)) + 0.0


def by_month(answers: RecentAnswers) -> list[Month]:
    """Months with an answered bar, oldest first."""
    stamp = answers.time.strftime("%Y-%m").to_numpy()
    return [_month(str(month), answers.part(np.asarray(stamp == month))) for month in np.unique(stamp)]


def _month(name: str, answers: RecentAnswers) -> Month:
    expected = entropy(answers.probabilities)
    known = answers.part(answers.confirmed)
    realised = _losses(known)
    each = np.arange(len(answers))
    return Month(
        month=name,
        models=", ".join(answers.models[index] for index in np.unique(answers.model)),
        rows=len(answers),
        confirmed=float(answers.confirmed.mean()),
        expected_log_loss=float(expected.mean()),
        expected_accuracy=float(answers.probabilities[each, answers.regime].mean()),
        realised_log_loss=_mean(realised),
        realised_accuracy=_mean(np.asarray(known.regime == known.y, dtype=np.float64)),
        gap=_mean(realised) - _mean(expected[answers.confirmed]),
        spells=len(np.unique(known.spell)),
    )


def last_confirmed(answers: RecentAnswers, days: int) -> Recent | None:
    """Look at the last days up to the newest confirmed label; ``None`` where no label is confirmed."""
    if not answers.confirmed.any():
        return None
    end = answers.time[answers.confirmed].max()
    inside = answers.confirmed & np.asarray(answers.time > end - pd.Timedelta(days=days))
    known = answers.part(inside)
    found = scores(known.probabilities, known.y, known.regime)
    realised, expected = _mean(_losses(known)), _mean(entropy(known.probabilities))
    return Recent(
        since=known.time.min(),
        until=end,
        rows=len(known),
        spells=len(np.unique(known.spell)),
        expected_log_loss=expected,
        realised_log_loss=realised,
        gap=realised - expected,
        coverage=float(known.sets[np.arange(len(known)), known.y].mean()),
        set_size=float(known.sets.sum(axis=1).mean()),
        recall={name: found[f"recall_{name}"] for name in REGIMES},
        spells_of={name: len(np.unique(known.spell[known.y == index])) for index, name in enumerate(REGIMES)},
    )


def _losses(known: RecentAnswers) -> FloatArray:
    given = known.probabilities[np.arange(len(known)), known.y]
    return np.asarray(-np.log(np.clip(given, 1e-15, 1.0)))


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else float("nan")
