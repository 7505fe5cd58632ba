"""Arithmetic on columns in which values may be missing: NaN where there is no answer, never a number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["divide", "flags", "log_ratio", "positive_log"]

FloatArray = npt.NDArray[np.float64]


def _all_positive(values: FloatArray) -> bool:
    """Whether all values that are there are positive and finite, and any is."""
    smallest, largest = (pick.reduce(values, initial=np.nan) for pick in (np.fmin, np.fmax))
    return bool(smallest > 0 and largest < np.inf)


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """``numerator / denominator``; NaN where the denominator is not a positive finite number."""
    smallest, largest = (
        np.fmin.reduce(denominator, initial=np.nan),
        np.fmax.reduce(denominator, initial=np.nan),
    )
    if smallest > 0 and largest < np.inf:  # missing ones make NaN by themselves
        return np.asarray(numerator / denominator)
    good = np.isfinite(denominator) & (denominator > 0)
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=good)
    return ratio


def log_ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Natural log of the ratio; NaN where either is not a positive finite number."""
    ratio: FloatArray = np.log(divide(numerator, denominator))
    endless = np.isinf(ratio)
    if endless.any():
        ratio[endless] = np.nan
    return ratio


def positive_log(values: FloatArray) -> FloatArray:
    """Natural log; NaN where the value is not a positive finite number."""
    if not _all_positive(values):
        values = np.where((values > 0) & (values < np.inf), values, np.nan)
    log: FloatArray = np.log(values)
    return log


def flags(holds: npt.NDArray[np.bool_], *known: FloatArray) -> FloatArray:
    """1 where something holds, 0 where it does not, NaN where one of the values it needs is missing."""
    out = holds.astype(np.float64)
    for values in known:
        missing = np.isnan(values) | np.isinf(values)
        if missing.any():
            out[missing] = np.nan
    return out
