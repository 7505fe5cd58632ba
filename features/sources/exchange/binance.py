"""Binance USD-margined futures, ccxt's ``binanceusdm``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.sources.exchange.markets import Perpetual
from features.sources.exchange.paging import Row, forward
from features.sources.exchange.venue import DAY, HOUR, Asked, Statistic, Venue, number

__all__ = ["BinanceUsdm"]

_FUNDING_PAGE, _FULL_ENOUGH = 1000, 100
"""A shorter funding page than the second is the last one, even if the venue cuts its pages."""
_KLINE = (1, 2, 3, 4, 5, 7, 10)
"""Places of open, high, low, close, volume, quote volume and the takers' part of it."""


class BinanceUsdm(Venue):
    """Statistics reach back 30 days, stamps are when they were read, open interest is in USD."""

    exchange = "binanceusdm"
    name = "binance"
    bars_page = 1000
    # Five minutes less than 30 days: the venue counts from its own clock and refuses a start before.
    open_interest = Statistic(HOUR, 500, 30 * DAY - HOUR // 12, 0)
    positioning = Statistic(HOUR, 500, 30 * DAY - HOUR // 12, 0)
    taker_volume = Statistic(DAY, 1000, None, DAY)

    @staticmethod
    def rows(answer: Any) -> object:
        """Bare lists; the clock's answer and the list of contracts are objects."""
        return answer.get("symbols", []) if isinstance(answer, dict) else answer

    def settlements(self, market: Perpetual, first: int, last: int) -> list[Row]:
        """``time, funding_rate``."""

        def page(start: int) -> Sequence[Row]:
            answer = self.line.ask(
                f"{market.name} funding",
                lambda client: client.fetch_funding_rate_history(
                    market.unified, start, _FUNDING_PAGE, {"until": last}
                ),
            )
            return [(row["timestamp"], number(row["fundingRate"])) for row in answer]

        return self.funding_pages(market, lambda: forward(page, first, last, _FULL_ENOUGH))

    def bar_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """Klines as they are: ccxt's own candles leave out the quote volumes."""
        return [
            (client.safe_integer(kline, 0), *(number(client.safe_number(kline, at)) for at in _KLINE))
            for kline in self._klines(client, asked)
        ]

    def interest_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """``openInterestHist``: USD and coins."""
        answer = client.fetch_open_interest_history(
            asked.market.unified, asked.interval, asked.first, asked.limit, {"until": asked.end}
        )
        return [
            (row["timestamp"], number(row["openInterestValue"]), number(row["openInterestAmount"]))
            for row in answer
        ]

    def taker_page(self, client: Any, asked: Asked) -> Sequence[Row]:
        """From the day's kline; what takers did not buy they sold."""
        rows = []
        for kline in self._klines(client, asked):
            bought = number(client.safe_number(kline, 10))
            rows.append(
                (client.safe_integer(kline, 0), bought, number(client.safe_number(kline, 7)) - bought)
            )
        return rows

    @staticmethod
    def _klines(client: Any, asked: Asked) -> Any:
        return client.fapiPublicGetKlines(
            {
                "symbol": asked.market.id,
                "interval": asked.interval,
                "startTime": asked.first,
                "endTime": asked.end,
                "limit": asked.limit,
            }
        )
