"""Large steps of a series, each told apart by whether the series came back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.audit.findings import BoolArray, FloatArray

__all__ = ["Excursion", "excursions"]

_BACK = 0.25
"""Back means: within this share of the step from where it began."""
_OPPOSITE = 0.5


class Excursion(NamedTuple):
    """A flagged step and the rows that it lifted off.

    Attributes
    ----------
    first, last : int
        Rows between the way there and the way back; the same row where it did not come back.
    returned : bool
    """

    first: int
    last: int
    returned: bool


def excursions(level: FloatArray, flagged: BoolArray, longest: int) -> list[Excursion]:
    """Group flagged steps: the way there and the way back are one excursion.

    Parameters
    ----------
    level : ndarray of shape (n_rows,)
        Logarithms, finite.
    flagged : ndarray of bool, shape (n_rows,)
        Rows whose step from the row before is too large; the first row has none.
    longest : int
        Rows that an excursion may last.

    Returns
    -------
    list of Excursion
        In order; no row is in two of them.

    Examples
    --------
    >>> level = np.log([100.0, 101.0, 200.0, 201.0, 100.5, 100.0])
    >>> step = np.abs(np.diff(level, prepend=level[0]))
    >>> excursions(level, step > 0.3, longest=24)
    [Excursion(first=2, last=3, returned=True)]
    """
    found: list[Excursion] = []
    done = 0
    for row in np.flatnonzero(flagged).tolist():
        if row < max(done, 1):
            continue
        step = level[row] - level[row - 1]
        after = level[row + 1 : row + 1 + longest]
        before_that = level[row : row + len(after)]
        is_back = np.abs(after - level[row - 1]) <= _BACK * abs(step)
        turned = (after - before_that) * -np.sign(step) >= _OPPOSITE * abs(step)
        back = np.flatnonzero(is_back & turned)
        last = row + int(back[0]) if len(back) else row
        found.append(Excursion(row, last, bool(len(back))))
        done = last + 2 if len(back) else row + 1
    return found
