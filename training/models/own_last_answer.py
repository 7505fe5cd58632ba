"""Own last answer: what the model said a day ago, said again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.regimes import REGIMES
from training.dataset import Dataset, spell_weights
from training.models.baseline import Baseline, IndexArray, RegimeArray, require_two_classes
from training.models.baselines import CountedAnswers
from training.models.boosted_logistic import BoostedLogistic, BoostingSettings
from training.models.learned import inner_fits

__all__ = ["OwnLastAnswer", "day_before"]

NOTHING = len(REGIMES)
"""Said where there is no bar a day before."""


def day_before(dataset: Dataset, bars: IndexArray) -> IndexArray:
    """The bar 24 hours before each, of the same symbol; -1 where the history does not go so far back."""
    per_day = dataset.histories[0].per_day
    before = bars - per_day
    inside = before >= 0
    inside &= dataset.symbol[np.maximum(before, 0)] == dataset.symbol[bars]
    return np.where(inside, before, -1)


class OwnLastAnswer(Baseline):
    """The likeliest regime by the project's model at the bar 24 hours ago.

    How much of a model's score is nothing but yesterday's answer: a model that this one nearly
    matches follows the market rather than telling its turns. The model is the boosted logistic one;
    its answers become probabilities by counts over answers out of fold, from purged cross-validation
    inside the training rows.

    Parameters
    ----------
    boosting : BoostingSettings
    spell_power : float
        See :func:`training.dataset.spell_weights`.
    inner_blocks : int
    embargo_days : float
    """

    name = "own_last_answer"
    words = "What the project's model held for the likeliest regime 24 hours ago."

    def __init__(
        self,
        boosting: BoostingSettings,
        *,
        spell_power: float = 0.25,
        inner_blocks: int = 4,
        embargo_days: float = 5.0,
    ) -> None:
        self.boosting = boosting
        self.spell_power = spell_power
        self.inner_blocks = inner_blocks
        self.embargo_days = embargo_days

    def fit(self, dataset: Dataset, rows: IndexArray, cut: pd.Timestamp) -> None:  # noqa: ARG002 - the rows end before it
        """Fit the model, and count what became of its answers; see :meth:`Baseline.fit`."""
        require_two_classes(dataset, rows)
        said, y = [], []
        for train, test in inner_fits(dataset, rows, self.inner_blocks, self.embargo_days):
            said.append(_said(self._model(dataset, train), dataset, test))
            y.append(dataset.y[test])
        self._latest = self._model(dataset, rows)
        if said:
            counted, classes = np.concatenate(said), np.concatenate(y)
        else:  # too short to be cut: what is said tells nothing
            counted, classes = np.full(len(rows), NOTHING), dataset.y[rows]
        self._counted = CountedAnswers(counted, classes, NOTHING + 1)

    def answer(self, dataset: Dataset, bars: IndexArray) -> FloatArray:
        """Shares of the classes a day after the same answer; see :meth:`Baseline.answer`."""
        return self._counted.probabilities(_said(self._latest, dataset, bars))

    def decide(self, dataset: Dataset, bars: IndexArray, probabilities: FloatArray) -> RegimeArray:
        """What was said a day ago, else the likeliest; see :meth:`Baseline.decide`."""
        said = _said(self._latest, dataset, bars)
        return np.where(said < NOTHING, said, super().decide(dataset, bars, probabilities))

    def parameters(self) -> dict[str, Any]:
        """Delay and blocks."""
        return {"delay_hours": 24, "inner_blocks": self.inner_blocks}

    def _model(self, dataset: Dataset, rows: IndexArray) -> BoostedLogistic:
        weight = spell_weights(dataset.y[rows], dataset.spell[rows], self.spell_power)
        return BoostedLogistic(self.boosting).fit(dataset.X[rows], dataset.y[rows], weight)


def _said(model: BoostedLogistic, dataset: Dataset, bars: IndexArray) -> npt.NDArray[np.int64]:
    before = day_before(dataset, bars)
    there = before >= 0
    there[there] = dataset.present[before[there]]
    said = np.full(len(bars), NOTHING, dtype=np.int64)
    if there.any():
        said[there] = model.log_odds(dataset.X[before[there]]).argmax(axis=1)
    return said
