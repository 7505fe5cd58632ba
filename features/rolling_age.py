"""Ages: how many bars ago an extreme or an event was, each from its own window alone.

Ages are whole numbers, so a window cut out of a history gives the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.rolling import enough

__all__ = ["age_of_max", "age_of_min", "bars_since", "bars_since_other_side"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def age_of_max(values: FloatArray, n: int, first: int) -> FloatArray:
    """Bars since the largest of the last ``n`` values: 0 where it is the current one.

    Of equal values the latest counts. NaN where fewer values are there than
    :data:`~features.rolling.COVERAGE` asks.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
    n : int
        Window in bars, the current one included.
    first : int
        Number of bars between the epoch and ``values[0]``: anchors the blocks.

    Examples
    --------
    >>> age_of_max(np.array([1.0, 5.0, 5.0, 2.0]), 3, first=0)
    array([nan, nan,  0.,  1.])
    """
    size = len(values)
    out = np.full(size, np.nan)
    if size < n:
        return out
    there = np.isfinite(values)
    pad = first % n
    blocks = -(-(pad + size) // n)
    padded = np.full(blocks * n, -np.inf)
    padded[pad : pad + size] = np.where(there, values, -np.inf)
    shaped = padded.reshape(blocks, n)
    position = np.arange(blocks * n).reshape(blocks, n)
    head, head_at = _largest_so_far(shaped, position)
    tail, tail_at = _largest_from_here(shaped, position)
    starts, ends = slice(pad, pad + size - n + 1), slice(pad + n - 1, pad + size)
    at = np.where(head[ends] >= tail[starts], head_at[ends], tail_at[starts])
    out[n - 1 :] = np.arange(pad + n - 1, pad + size) - at
    out[~enough(there, n, first)] = np.nan
    return out


def age_of_min(values: FloatArray, n: int, first: int) -> FloatArray:
    """Bars since the smallest of the last ``n`` values; as :func:`age_of_max`."""
    return age_of_max(-values, n, first)


def _largest_so_far(shaped: FloatArray, position: IntArray) -> tuple[FloatArray, IntArray]:
    """Largest value of each block up to each place, and where it was last."""
    largest = np.maximum.accumulate(shaped, axis=1)
    at = np.maximum.accumulate(np.where(shaped == largest, position, -1), axis=1)
    return largest.ravel(), at.ravel()


def _largest_from_here(shaped: FloatArray, position: IntArray) -> tuple[FloatArray, IntArray]:
    """Largest value of each block from each place on, and where it is last."""
    backwards = shaped[:, ::-1]
    largest = np.maximum.accumulate(backwards, axis=1)
    new = np.ones(shaped.shape, dtype=bool)
    new[:, 1:] = backwards[:, 1:] > largest[:, :-1]
    at = np.minimum.accumulate(np.where(new, position[:, ::-1], position.size), axis=1)
    return largest[:, ::-1].ravel(), at[:, ::-1].ravel()


def bars_since(happened: FloatArray, cap: int, first: int) -> FloatArray:
    """Bars since something happened last, at most ``cap``.

    Parameters
    ----------
    happened : ndarray of shape (n_bars,)
        Above 0 where it happened, 0 where it did not; NaN where that is not known: a row is NaN
        where too few of its last ``cap`` bars are.
    cap : int
        Look-back in bars, the current one not included; longer ago counts as ``cap``.
    first : int
        Number of bars between the epoch and row 0.

    Examples
    --------
    >>> bars_since(np.array([0.0, 1.0, 0.0, 0.0, 0.0]), 2, first=0)
    array([nan, nan,  1.,  2.,  2.])
    """
    row = np.arange(len(happened))
    last = np.maximum.accumulate(np.where(happened > 0, row, -1 - cap))
    age = np.minimum(row - last, cap).astype(np.float64)
    age[:cap] = np.nan
    age[~enough(np.isfinite(happened), cap, first)] = np.nan
    return age


def bars_since_other_side(values: FloatArray, cap: int, first: int) -> FloatArray:
    """Bars since ``values`` were last on the other side of zero, with the sign of now; 0 at zero.

    Parameters
    ----------
    values : ndarray of shape (n_bars,)
        NaN where not known; such a bar ends nothing.
    cap : int
        Look-back in bars, the current one not included; longer ago counts as ``cap``.
    first : int
        Number of bars between the epoch and row 0.

    Examples
    --------
    >>> bars_since_other_side(np.array([-1.0, 2.0, 3.0, -1.0]), 2, first=0)
    array([nan, nan,  2., -1.])
    """
    side = np.sign(values)
    age = np.where(side > 0, bars_since(-values, cap, first), bars_since(values, cap, first))
    return age * side
