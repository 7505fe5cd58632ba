"""OKX swaps, API version 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from features.sources.exchange.markets import Perpetual
from features.sources.exchange.paging import Row, backward
from features.sources.exchange.venue import DAY, HOUR, Asked, Statistic, Venue, number

__all__ = ["Okx"]

_FUNDING_PAGE = 100


class Okx(Venue):
    """Hourly statistics keep the latest 1,440, stamped at the beginning; funding keeps three months.

    Bars of a day are asked for in UTC (ccxt's ``timezone`` option), where plain ``1D`` opens at UTC+8.
    """

    exchange = "okx"
    name = "okx"
    options: ClassVar[Mapping[str, Any]] = {
        "fetchMarkets": {"types": ["swap"]},
        "fetchOHLCV": {"timezone": "UTC"},
    }
    bars_page = 300
    open_interest = Statistic(HOUR, 100, 1440 * HOUR, HOUR)
    positioning = Statistic(HOUR, 100, 1440 * HOUR, HOUR)
    taker_volume = Statistic(DAY, 100, None, DAY)

    @staticmethod
    def rows(answer: Any) -> object:
        """In ``data``."""
        return answer.get("data") if isinstance(answer, dict) else None

    def settlements(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, funding_rate``: what was paid, not what was announced."""

        def page(end: int) -> Sequence[Row]:
            # With a start alone the venue gives its newest rows, so pages go backward by their end.
            answer = self.line.ask(
                f"{market.name} funding",
                lambda client: client.fetch_funding_rate_history(
                    market.unified, None, _FUNDING_PAGE, {"after": end + 1}
                ),
            )
            return [(row["timestamp"], number(row["fundingRate"])) for row in answer]

        return self.funding_pages(market, lambda: backward(page, first, last))

    def bar_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """Candles; volume in coins."""
        answer = client.fetch_ohlcv(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [(row[0], *map(number, row[1:6])) for row in answer]

    def interest_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """``open-interest-history``: contracts, coins and USD."""
        answer = client.fetch_open_interest_history(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [
            (row["timestamp"], number(row["openInterestValue"]), number(client.safe_number(row["info"], 2)))
            for row in answer
        ]

    def taker_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """``taker-volume-contract`` in USD; its rows are time, sold, bought, its bounds excluded."""
        answer = client.publicGetRubikStatTakerVolumeContract(
            {
                "instId": asked.market.id,
                "period": "1Dutc",
                "unit": "2",
                "begin": asked.first - 1,
                "end": asked.end,
                "limit": asked.limit,
            }
        )
        return [
            (
                client.safe_integer(row, 0),
                number(client.safe_number(row, 2)),
                number(client.safe_number(row, 1)),
            )
            for row in answer["data"]
        ]
