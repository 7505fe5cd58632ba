"""Bybit linear perpetuals, API version 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from features.sources.exchange.markets import Perpetual
from features.sources.exchange.paging import Row, backward
from features.sources.exchange.venue import HOUR, Asked, Statistic, Venue, number

__all__ = ["Bybit"]

_FUNDING_PAGE = 200


class Bybit(Venue):
    """Open interest is in coins and has no stated limit; there is no taker volume."""

    exchange = "bybit"
    name = "bybit"
    options: ClassVar[Mapping[str, Any]] = {"fetchMarkets": {"types": ["linear"]}}
    bars_page = 1000
    open_interest = Statistic(HOUR, 200, None, 0)
    positioning = Statistic(HOUR, 500, None, HOUR)

    @staticmethod
    def rows(answer: Any) -> object:
        """In ``result.list``; the clock's answer has none."""
        result = answer.get("result") if isinstance(answer, dict) else None
        return result.get("list", []) if isinstance(result, dict) else None

    def settlements(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, funding_rate``."""

        def page(end: int) -> Sequence[Row]:
            # A span of fixed length would lack rows where a contract settles hourly.
            answer = self.line.ask(
                f"{market.name} funding",
                lambda client: client.fetch_funding_rate_history(
                    market.unified, None, _FUNDING_PAGE, {"until": end}
                ),
            )
            return [(row["timestamp"], number(row["fundingRate"])) for row in answer]

        return self.funding_pages(market, lambda: backward(page, first, last))

    def bar_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """Klines; volume in coins."""
        answer = client.fetch_ohlcv(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [(row[0], *map(number, row[1:6])) for row in answer]

    def interest_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """Coins only; the value is for the caller to make."""
        answer = client.fetch_open_interest_history(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [(row["timestamp"], float("nan"), number(row["openInterestAmount"])) for row in answer]

    def ratio_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """Times go in the venue's own words: ccxt passes none on here."""
        answer = client.fetch_long_short_ratio_history(
            asked.market.unified,
            asked.interval,
            None,
            asked.limit,
            {"startTime": asked.first, "endTime": asked.end},
        )
        return [(row["timestamp"], number(row["longShortRatio"])) for row in answer]
