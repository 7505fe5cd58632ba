"""A claim that was checked: what was measured, and what that says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Literal

__all__ = ["Checked", "Measure", "Verdict", "about", "above", "within"]

Verdict = Literal["holds", "does not hold", "cannot be told"]
Unit = Literal["share", "return", "log", "ratio", "count"]
_WIDE = 0.30


@dataclass(frozen=True)
class Measure:
    """One number with its interval and what stands behind it.

    Attributes
    ----------
    name : str
        What was measured, in words.
    unit : {"share", "return", "log", "ratio", "count"}
    estimate, low, high : float
        With the interval of 95 %; NaN where there is none.
    entries : int
        Positions, hours or weeks that were measured.
    weeks : int
        Calendar weeks among them: the evidence is of this size.
    """

    name: str
    unit: Unit
    estimate: float
    low: float
    high: float
    entries: int
    weeks: int

    @property
    def known(self) -> bool:
        """Whether it has an interval."""
        return isfinite(self.low) and isfinite(self.high)

    def words(self) -> str:
        """Number and interval.

        Examples
        --------
        >>> Measure("x", "share", 0.5, 0.4, 0.61, 10, 3).words()
        '50 % (40 to 61 %)'
        >>> Measure("x", "return", -0.0042, -0.01, 0.002, 10, 3).words()
        '-0.42 % (-1.00 to +0.20 %)'
        """
        if not isfinite(self.estimate):
            return "no data"
        one, bounds = _number(self.estimate, self.unit), "no interval"
        if self.known:
            low, high = _number(self.low, self.unit), _number(self.high, self.unit)
            bounds = f"{low.removesuffix(' %')} to {high}"
        return f"{one} ({bounds})"

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; what is not known is null."""
        return {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in asdict(self).items()
        }


def _number(value: float, unit: Unit) -> str:
    if unit == "share":
        return f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %"
    if unit == "return":
        return f"{100 * value:+.2f} %"
    if unit == "log":
        return f"{value:+.4f}"
    return f"{value:.2f}" if unit == "ratio" else f"{value:.0f}"


@dataclass(frozen=True)
class Checked:
    """A claim, how it was checked, and the verdict.

    Attributes
    ----------
    name : str
        Snake case, stable.
    folklore : str
        As traders say it.
    how : str
        What was measured.
    rule : str
        What makes the verdict, fixed before looking.
    verdict : {"holds", "does not hold", "cannot be told"}
    because : str
        From the numbers.
    measures : tuple of Measure
        The deciding one first.
    """

    name: str
    folklore: str
    how: str
    rule: str
    verdict: Verdict
    because: str
    measures: tuple[Measure, ...]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {**asdict(self), "measures": [one.as_dict() for one in self.measures]}


def above(measure: Measure, limit: float) -> Verdict:
    """Whether the whole interval lies above a limit, or below it.

    Examples
    --------
    >>> above(Measure("x", "share", 0.5, 0.4, 0.6, 10, 3), 0.3)
    'holds'
    """
    if not measure.known:
        return "cannot be told"
    if measure.low > limit:
        return "holds"
    return "does not hold" if measure.high < limit else "cannot be told"


def about(measure: Measure, value: float) -> Verdict:
    """Whether the interval holds a value, and is narrow enough (0.30) for that to mean something."""
    if not measure.known:
        return "cannot be told"
    if not measure.low <= value <= measure.high:
        return "does not hold"
    return "holds" if measure.high - measure.low <= _WIDE else "cannot be told"


def within(measure: Measure, low: float, high: float) -> Verdict:
    """Whether the whole interval lies between two values, or wholly outside."""
    if not measure.known:
        return "cannot be told"
    if measure.low >= low and measure.high <= high:
        return "holds"
    return "does not hold" if measure.high < low or measure.low > high else "cannot be told"
