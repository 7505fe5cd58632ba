"""What every baseline is: fitted on a fold's training rows, answering bar by bar online."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES
from training.dataset import Dataset

__all__ = ["Baseline", "IndexArray", "RegimeArray", "require_two_classes"]

IndexArray = npt.NDArray[np.intp]
RegimeArray = npt.NDArray[np.int64]


class Baseline(ABC):
    """A model or rule that the project's model has to beat.

    What it answers at bar ``t`` depends on bars ``<= t``, on labels that were confirmed at ``t``, and
    on what it was fitted on: nothing else.

    Attributes
    ----------
    name : str
        Snake case, unique; names it on the command line and in MLflow.
    words : str
        What it does, in one sentence.
    """

    name: ClassVar[str]
    words: ClassVar[str]

    @abstractmethod
    def fit(self, dataset: Dataset, rows: IndexArray, cut: pd.Timestamp) -> None:
        """Learn from some rows.

        Parameters
        ----------
        dataset : Dataset
        rows : ndarray of int
            Bars to learn from; nothing is learned from any other.
        cut : pandas.Timestamp
            Their labels were confirmed before it.

        Raises
        ------
        TrainingError
            If the rows do not carry it.
        """

    @abstractmethod
    def answer(self, dataset: Dataset, bars: IndexArray) -> FloatArray:
        """Calibrated probabilities of some bars, shape (n_bars, 4), classes in the fixed order.

        Parameters
        ----------
        dataset : Dataset
            Need not be the one that it was fitted on.
        bars : ndarray of int
            Present bars and missing ones: each is answered.
        """

    def decide(self, dataset: Dataset, bars: IndexArray, probabilities: FloatArray) -> RegimeArray:  # noqa: ARG002
        """The regime that is answered at some bars, shape (n_bars,); the likeliest by default.

        Parameters
        ----------
        dataset : Dataset
        bars : ndarray of int
        probabilities : ndarray of shape (n_bars, 4)
            Of :meth:`answer` at the same bars.
        """
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)

    def parameters(self) -> dict[str, Any]:
        """What it was set to, for the record."""
        return {}


def require_two_classes(dataset: Dataset, rows: IndexArray) -> None:
    """Refuse rows that show one regime only: there is nothing to tell apart.

    Raises
    ------
    TrainingError
        With the regime.
    """
    present = np.unique(dataset.y[rows])
    if len(present) < 2:
        names = ", ".join(REGIMES[index] for index in present) or "none"
        raise TrainingError(
            f"the training rows hold {len(present)} regime ({names}), at least 2 are needed",
            hint="use a longer history or more symbols",
        )
