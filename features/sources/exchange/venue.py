"""What every venue can be asked, in one form; times are Unix ms, bounds are included."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from features.sources.exchange.connection import Connection
from features.sources.exchange.markets import Perpetual
from features.sources.exchange.paging import PageError, Row, windows

__all__ = ["DAY", "HOUR", "Asked", "Page", "Statistic", "Venue", "number"]

HOUR = 3_600_000
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Asked:
    """One page that is asked for.

    Attributes
    ----------
    market : Perpetual
    interval : str
        ``1h``, ``4h`` or ``1d``; of a statistic its period.
    first, last : int
        Stamps, both included.
    step : int
        From stamp to stamp, ms.
    """

    market: Perpetual
    interval: str
    first: int
    last: int
    step: int

    @property
    def limit(self) -> int:
        """Rows that may lie there."""
        return (self.last - self.first) // self.step + 1

    @property
    def end(self) -> int:
        """Just before the next stamp: some venues refuse a span whose ends are the same."""
        return self.last + self.step - 1


Page = Callable[[Any, Asked], Sequence[Row]]
"""Gets the ccxt client; gives the rows of one page."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """How a venue keeps one of its statistics.

    Attributes
    ----------
    step : int
        Period in ms.
    page : int
        Rows of one answer.
    kept : int or None
        How far it reaches back, in ms; ``None``: without a stated limit.
    lag : int
        From a row's stamp to the moment when its value counts as known, in ms.
    """

    step: int
    page: int
    kept: int | None
    lag: int


class Venue(ABC):
    """One exchange; subclasses say what its endpoints hold.

    Parameters
    ----------
    line : Connection
    """

    exchange: ClassVar[str]
    """ccxt's name."""
    name: ClassVar[str]
    """Of the venue: the ``source`` of its rows."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Of the ccxt client."""
    bars_page: ClassVar[int]
    open_interest: ClassVar[Statistic]
    positioning: ClassVar[Statistic]
    taker_volume: ClassVar[Statistic | None] = None

    def __init__(self, line: Connection) -> None:
        self.line = line

    def bar_rows(self, market: Perpetual, interval: str, step: int, first: int, last: int) -> list[Row]:
        """``open_time, open, high, low, close, volume``; some add quote volume and what takers bought."""
        return self._walk("bars", self.bar_page, market, interval, first, last, step, self.bars_page)

    def interest_rows(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, value in USD or NaN, coins or NaN``."""
        return self._statistic("open interest", self.interest_page, self.open_interest, market, first, last)

    def ratio_rows(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time``, accounts that are long per account that is short."""
        return self._statistic("account ratio", self.ratio_page, self.positioning, market, first, last)

    def taker_rows(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, bought, sold`` by takers in USD, a row a day; none where the venue does not say."""
        if self.taker_volume is None:
            return []
        return self._statistic("taker volume", self.taker_page, self.taker_volume, market, first, last)

    @staticmethod
    @abstractmethod
    def rows(answer: Any) -> object:
        """The list of rows in an answer's JSON; whatever is in its place otherwise."""

    @abstractmethod
    def settlements(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, funding_rate``."""

    @abstractmethod
    def bar_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """One page of :meth:`bar_rows`."""

    @abstractmethod
    def interest_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """One page of :meth:`interest_rows`."""

    def ratio_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """One page of :meth:`ratio_rows`."""
        answer = client.fetch_long_short_ratio_history(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [(row["timestamp"], number(row["longShortRatio"])) for row in answer]

    def taker_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """One page of :meth:`taker_rows`."""
        raise NotImplementedError

    def funding_pages(self, market: Perpetual, walk: Callable[[], list[Row]]) -> list[Row]:
        """Rows of a walk through the settlements, which have no fixed step."""
        self.line.begin_walk()
        try:
            return walk()
        except PageError as error:
            raise self.line.nonsense(f"{market.name} funding", str(error)) from error

    def _statistic(
        self, what: str, page: Page, kept: Statistic, market: Perpetual, first: int, last: int
    ) -> list[Row]:
        period = "1d" if kept.step == DAY else "1h"
        return self._walk(what, page, market, period, first, last, kept.step, kept.page)

    def _walk(
        self,
        what: str,
        page: Page,
        market: Perpetual,
        interval: str,
        first: int,
        last: int,
        step: int,
        limit: int,
    ) -> list[Row]:
        named = f"{market.name} {interval} {what}"

        def ask(start: int, end: int) -> Sequence[Row]:
            asked = Asked(market, interval, start, end, step)
            return self.line.ask(named, lambda client: page(client, asked))

        self.line.begin_walk()
        try:
            return windows(ask, first, last, step, limit)
        except PageError as error:
            raise self.line.nonsense(named, str(error)) from error


def number(value: object) -> float:
    """A number of ccxt's; NaN where it found none.

    Examples
    --------
    >>> number(2), number(None)
    (2.0, nan)
    """
    return float(value) if isinstance(value, int | float) else float("nan")
