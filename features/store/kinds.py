"""The kinds of tables a store holds: their time column and how they are cut into partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from features.errors import UsageError
from features.raw import INTERVALS

__all__ = ["KINDS", "MARKET_WIDE", "SIGNAL_PREFIX", "SYMBOL", "Kind", "kind_of"]

MARKET_WIDE = "_market"
"""In place of a symbol: series that speak of all symbols."""
SIGNAL_PREFIX = "signal_"
SYMBOL = re.compile(rf"^([A-Z0-9]{{2,24}}|{MARKET_WIDE})$")
"""Names of the folders at the top."""
_SIGNAL = re.compile(r"^signal_[a-z][a-z0-9_]{0,39}$")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of table.

    Attributes
    ----------
    name : str
        Such as ``bars_1h``; also the folder's name.
    key : str
        Time column; each time is there once, oldest first.
    period : {"month", "year"}
        Span of one partition, in UTC: what a day's update has to write again.
    """

    name: str
    key: str
    period: Literal["month", "year"]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        *(
            Kind(f"bars_{name}", "open_time", "year" if hours == 24 else "month")
            for name, hours in INTERVALS.items()
        ),
        Kind("funding", "time", "year"),
        Kind("open_interest", "time", "month"),
        Kind("positioning", "time", "month"),
        Kind("taker_volume", "time", "year"),
        Kind("fear_greed", "time", "year"),
    )
}
"""Kinds with a fixed name; ``signal_<name>`` are the others."""


def kind_of(name: str) -> Kind:
    """Declaration of a kind.

    Raises
    ------
    UsageError
        For a name that is none.

    Examples
    --------
    >>> kind_of("bars_1h").key, kind_of("signal_put_call").period
    ('open_time', 'year')
    """
    if name in KINDS:
        return KINDS[name]
    if _SIGNAL.match(name):
        return Kind(name, "time", "year")
    raise UsageError(
        f"{name!r} is no kind of table, expected {', '.join(KINDS)} or signal_<name>", field="kind"
    )
