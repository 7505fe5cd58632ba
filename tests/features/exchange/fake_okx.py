"""Paths of OKX version 5: newest first, bounds excluded, days that open at UTC+8 unless asked in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_market import DAY, HOUR, STEPS, FakeMarket

__all__ = ["okx_routes"]

Query = Mapping[str, str]
Answer = tuple[int, Any]
_BARS = {"1H": ("1h", 0), "4H": ("4h", 0), "1D": ("1d", 16 * HOUR), "1Dutc": ("1d", 0)}
_LATEST = 1440


def _data(rows: list[Any]) -> Answer:
    return 200, {"code": "0", "data": rows, "msg": ""}


def _error(code: str, message: str, status: int = 200) -> Answer:
    return status, {"code": code, "data": [], "msg": message}


def okx_routes(markets: Mapping[str, FakeMarket], clock: Any) -> dict[str, Any]:
    """Path to function of the query that gives status and JSON."""
    by_id = {f"{market.base}-USDT-SWAP": market for market in markets.values()}

    def known(answer: Any) -> Any:
        def checked(query: Query) -> Answer:
            market = by_id.get(query.get("instId", ""))
            if market is None:
                return _error("51001", "Instrument ID or Spread ID doesn't exist.", 400)
            found: Answer = answer(market, query)
            return found

        return checked

    def candles(*, latest: bool) -> Any:
        def answer(market: FakeMarket, query: Query) -> Answer:
            if query["bar"] not in _BARS:
                return _error("51000", "Parameter bar error", 400)
            interval, shift = _BARS[query["bar"]]
            since = clock() - _LATEST * STEPS[interval] if latest else 0
            rows = [row for row in market.bars(interval, shift=shift) if row[0] >= since]
            page = _newest(rows, query, "before", "after", 300)
            return _data(
                [
                    [str(at), *map(str, bar[:4]), str(bar[4] * 100), str(bar[4]), str(bar[5]), "1"]
                    for at, bar in page
                ]
            )

        return answer

    def funding(market: FakeMarket, query: Query) -> Answer:
        rows = [
            {
                "instType": "SWAP",
                "instId": f"{market.base}-USDT-SWAP",
                "fundingRate": f"{rate * 1.01:.10f}",
                "realizedRate": f"{rate:.10f}",
                "fundingTime": str(at),
                "method": "current_period",
            }
            for at, rate in market.settlements()
            if at >= clock() - 90 * DAY
        ]
        return _data(_newest(rows, query, "before", "after", 100, at=lambda row: int(row["fundingTime"])))

    def statistic(rows_of: Any, period: str, step: int) -> Any:
        def answer(market: FakeMarket, query: Query) -> Answer:
            if query["period"] != period:
                return _error("51000", "Parameter period error", 400)
            rows = market.once(rows_of, lambda: rows_of(market))
            rows = [row for row in rows if int(row[0]) >= clock() - _LATEST * step]
            return _data(_newest(rows, query, "begin", "end", 100))

        return known(answer)

    def interest(market: FakeMarket) -> list[list[str]]:
        # The stamp is the period's beginning.
        return [
            [str(at - HOUR), f"{coins * 100:.4f}", f"{coins:.8f}", f"{usd:.8f}"]
            for at, usd, coins in market.interest()
        ]

    def ratio(market: FakeMarket) -> list[list[str]]:
        return [[str(at - HOUR), f"{value:.6f}"] for at, value in market.ratios()]

    def taker(market: FakeMarket) -> list[list[str]]:
        return [[str(at), f"{bar[5] - bar[6]:.4f}", f"{bar[6]:.4f}"] for at, bar in market.bars("1d")]

    def instruments(query: Query) -> Answer:
        if query["instType"] != "SWAP":
            return _error("51000", "Parameter instType error", 400)
        rows = [_contract(market.base, "USDT", "linear") for market in markets.values()]
        return _data(
            [*rows, _contract("BTC", "USD", "inverse"), _contract("BTC", "USDC", "linear"), _PREOPEN]
        )

    stat = "/api/v5/rubik/stat"
    return {
        "/api/v5/public/time": lambda _query: _data([{"ts": str(clock())}]),
        "/api/v5/public/instruments": instruments,
        "/api/v5/market/candles": known(candles(latest=True)),
        "/api/v5/market/history-candles": known(candles(latest=False)),
        "/api/v5/public/funding-rate-history": known(funding),
        f"{stat}/contracts/open-interest-history": statistic(interest, "1H", HOUR),
        f"{stat}/contracts/long-short-account-ratio-contract": statistic(ratio, "1H", HOUR),
        f"{stat}/taker-volume-contract": statistic(taker, "1Dutc", DAY),
    }


_PREOPEN = {"instId": "ETH-USD_UM-SWAP", "instType": "SWAP", "state": "preopen"}


def _newest(
    rows: list[Any], query: Query, after: str, before: str, most: int, at: Any = lambda row: int(row[0])
) -> list[Any]:
    """Newest first; both bounds are excluded."""
    low, high = int(query.get(after, -1)), int(query.get(before, 1 << 60))
    inside = [row for row in rows if low < at(row) < high]
    return inside[::-1][: min(most, int(query.get("limit", 100)))]


def _contract(base: str, quote: str, kind: str) -> dict[str, str]:
    settle = quote if kind == "linear" else base
    return {
        "alias": "",
        "baseCcy": "",
        "category": "1",
        "ctMult": "1",
        "ctType": kind,
        "ctVal": "0.01",
        "ctValCcy": base,
        "expTime": "",
        "instFamily": f"{base}-{quote}",
        "instId": f"{base}-{quote}-SWAP",
        "instType": "SWAP",
        "lever": "100",
        "listTime": "1611916828000",
        "lotSz": "1",
        "maxLmtSz": "100000000",
        "minSz": "1",
        "quoteCcy": "",
        "settleCcy": settle,
        "state": "live",
        "stk": "",
        "tickSz": "0.1",
        "uly": f"{base}-{quote}",
    }
