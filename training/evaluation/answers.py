"""One model's out-of-fold answers, checked, and the rows that they are scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import DataError
from features.regimes import REGIMES
from training.dataset import Dataset

__all__ = ["Answers", "scored_rows"]

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Answers:
    """What one model answered at the bars of a dataset that its folds test.

    Attributes
    ----------
    name : str
    probabilities : ndarray of shape (n_bars, 4)
        NaN where not answered.
    regime : ndarray of int, shape (n_bars,)
        Class index; -1 where not answered.

    Raises
    ------
    DataError
        If the shapes disagree, a class does not exist, or a row that is answered holds no
        probabilities.
    """

    name: str
    probabilities: FloatArray
    regime: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        bars = len(self.regime)
        if self.regime.ndim != 1 or self.probabilities.shape != (bars, len(REGIMES)):
            raise DataError(
                f"answers of {self.name}: regimes {self.regime.shape} and probabilities "
                f"{self.probabilities.shape}, expected (n_bars,) and (n_bars, {len(REGIMES)})",
                code="bad_answers",
            )
        if bars and not (self.regime.min() >= -1 and self.regime.max() < len(REGIMES)):
            raise DataError(
                f"answers of {self.name}: a regime outside -1 to {len(REGIMES) - 1}", code="bad_answers"
            )
        given = self.probabilities[self.regime >= 0]
        total = given.sum(axis=1)
        bad = ~(np.isfinite(total) & (given >= 0).all(axis=1) & (np.abs(total - 1) < 1e-6))
        if bad.any():
            row = int(np.flatnonzero(self.regime >= 0)[np.flatnonzero(bad)[0]])
            raise DataError(
                f"answers of {self.name}: bar {row} is answered with {self.probabilities[row].tolist()}, "
                f"which are no probabilities; {int(bad.sum())} such bars",
                code="bad_answers",
            )

    @classmethod
    def likeliest(cls, name: str, probabilities: FloatArray) -> Answers:
        """Answers of a model without a decision of its own: the likeliest regime of each bar."""
        regime = np.full(len(probabilities), -1, dtype=np.int64)
        given = np.isfinite(probabilities).all(axis=1)
        regime[given] = probabilities[given].argmax(axis=1)
        return cls(name, probabilities, regime)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Bars with an answer, shape (n_bars,)."""
        return np.asarray(self.regime >= 0)


def scored_rows(dataset: Dataset, answers: Answers) -> IndexArray:
    """Bars that scores are pooled over: sampled, labelled, present and answered.

    Raises
    ------
    DataError
        If the answers are of another dataset, or no such bar is answered.
    """
    if len(answers.regime) != len(dataset.y):
        raise DataError(
            f"answers of {answers.name}: {len(answers.regime)} bars, the dataset has {len(dataset.y)}",
            code="bad_answers",
        )
    rows = np.flatnonzero(dataset.usable & answers.answered)
    if not len(rows):
        raise DataError(
            f"answers of {answers.name}: none on a labelled bar, there is nothing to score",
            code="nothing_to_score",
        )
    return rows
