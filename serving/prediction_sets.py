"""Prediction sets: the regimes that cannot be ruled out, at a stated coverage.

A regime is in the set where the probability of all likelier ones together is at most its threshold
(adaptive prediction sets, Romano, Sesia and Candes 2020, without their coin toss, so that the same
window has the same set). The likeliest regime has nothing before it and is always in. The thresholds are
conformal: fitted on labels that were confirmed when the model was made, one for each regime.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from features.bars import FloatArray
from features.regimes import REGIMES

__all__ = ["SetParameters", "likelier_mass", "prediction_sets"]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Shares = tuple[Share, Share, Share, Share]


class SetParameters(BaseModel):
    """Thresholds of the prediction sets; part of the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: float = Field(0.9, gt=0, lt=1, description="share of the hours whose set is to hold the truth")
    levels: Shares = Field(
        (0.9, 0.9, 0.9, 0.9),
        description="level that each regime's threshold was fitted for: `level`, corrected by what the sets "
        "before these achieved",
    )
    thresholds: Shares = Field(
        (0.9, 0.9, 0.9, 0.9),
        description="a regime is in the set where all likelier ones together have at most this probability",
    )


def likelier_mass(probabilities: FloatArray) -> FloatArray:
    """Probability of all regimes that are likelier, for each regime; shape (n_rows, 4).

    Examples
    --------
    >>> likelier_mass(np.array([[0.70, 0.05, 0.22, 0.03]])).round(2)
    array([[0.  , 0.92, 0.7 , 0.97]])
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.zeros_like(ranked)
    for rank in range(1, len(REGIMES)):
        before[:, rank] = before[:, rank - 1] + ranked[:, rank - 1]
    mass = np.empty_like(before)
    np.put_along_axis(mass, order, before, axis=1)
    return mass


def prediction_sets(probabilities: FloatArray, parameters: SetParameters) -> npt.NDArray[np.bool_]:
    """Which regimes are in the set of each row.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, 4)
        Calibrated.
    parameters : SetParameters

    Returns
    -------
    ndarray of bool, shape (n_rows, 4)
        At least one regime a row.

    Examples
    --------
    >>> p = np.array([[0.70, 0.05, 0.22, 0.03]])
    >>> prediction_sets(p, SetParameters(thresholds=(0.9, 0.9, 0.6, 0.9)))
    array([[ True, False, False, False]])
    """
    return np.asarray(likelier_mass(probabilities) <= np.array(parameters.thresholds))
