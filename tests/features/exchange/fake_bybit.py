"""Paths of Bybit version 5: newest first, bounds included, errors in ``retCode``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_market import FakeMarket

__all__ = ["bybit_routes"]

Query = Mapping[str, str]
Answer = tuple[int, Any]
_BARS = {"60": "1h", "240": "4h", "D": "1d"}


def bybit_routes(markets: Mapping[str, FakeMarket], clock: Any) -> dict[str, Any]:
    """Path to function of the query that gives status and JSON."""

    def result(**content: Any) -> Answer:
        body = {"retCode": 0, "retMsg": "OK", "result": content, "retExtInfo": {}, "time": clock()}
        return 200, body

    def error(message: str) -> Answer:
        body = {"retCode": 10001, "retMsg": message, "result": {}, "retExtInfo": {}, "time": clock()}
        return 200, body

    def known(answer: Any) -> Any:
        def checked(query: Query) -> Answer:
            market = markets.get(query.get("symbol", ""))
            if market is None or query.get("category") != "linear":
                return error("params error: Symbol Is Invalid")
            found: Answer = answer(market, query)
            return found

        return checked

    def klines(market: FakeMarket, query: Query) -> Answer:
        if query["interval"] not in _BARS or not 1 <= int(query.get("limit", 200)) <= 1000:
            return error("params error")
        interval = _BARS[query["interval"]]
        page = _newest(market.bars(interval), query, "start", "end", 200, lambda row: row[0])
        rows = [[str(at), *map(str, bar[:6])] for at, bar in page]
        return result(symbol=market.symbol, category="linear", list=rows)

    def funding(market: FakeMarket, query: Query) -> Answer:
        if "startTime" in query and "endTime" not in query:
            return error("params error: endTime")
        rows = [
            {"symbol": market.symbol, "fundingRate": f"{rate:.8f}", "fundingRateTimestamp": str(at)}
            for at, rate in market.settlements()
        ]
        at = lambda row: int(row["fundingRateTimestamp"])  # noqa: E731
        return result(category="linear", list=_newest(rows, query, "startTime", "endTime", 200, at))

    def interest(market: FakeMarket, query: Query) -> Answer:
        if query["intervalTime"] != "1h" or not 1 <= int(query.get("limit", 50)) <= 200:
            return error("params error")
        rows = market.once(
            "open interest",
            lambda: [
                {"openInterest": f"{coins:.8f}", "timestamp": str(at)} for at, _, coins in market.interest()
            ],
        )
        page = _newest(rows, query, "startTime", "endTime", 50, lambda row: int(row["timestamp"]))
        cursor = "lastid%3D0%26lasttime%3D1" if page else ""
        return result(symbol=market.symbol, category="linear", list=page, nextPageCursor=cursor)

    def ratio(market: FakeMarket, query: Query) -> Answer:
        if query["period"] != "1h" or not 1 <= int(query.get("limit", 50)) <= 500:
            return error("params error")
        rows = [
            {
                "symbol": market.symbol,
                "buyRatio": f"{value / (1 + value):.6f}",
                "sellRatio": f"{1 / (1 + value):.6f}",
                "timestamp": str(at - 3_600_000),
            }
            for at, value in market.ratios()
        ]
        page = _newest(rows, query, "startTime", "endTime", 50, lambda row: int(row["timestamp"]))
        return result(list=page, nextPageCursor="")

    def instruments(query: Query) -> Answer:
        if query.get("status") == "PreLaunch":
            return result(category="linear", list=[], nextPageCursor="")
        rows = [_contract(m.symbol, m.base, "USDT", "LinearPerpetual") for m in markets.values()]
        rows += [
            _contract("BTCPERP", "BTC", "USDC", "LinearPerpetual"),
            _contract("BTCUSDT-28MAR25", "BTC", "USDT", "LinearFutures"),
        ]
        # In two pages, as the real list of several hundred.
        if "cursor" not in query:
            return result(category="linear", list=rows[:1], nextPageCursor="first%3D1")
        return (
            result(category="linear", list=rows[1:], nextPageCursor="")
            if query["cursor"]
            else error("cursor")
        )

    def server_time(_query: Query) -> Answer:
        seconds = clock() // 1000
        return result(timeSecond=str(seconds), timeNano=str(clock() * 1_000_000))

    return {
        "/v5/market/time": server_time,
        "/v5/market/instruments-info": instruments,
        "/v5/market/kline": known(klines),
        "/v5/market/funding/history": known(funding),
        "/v5/market/open-interest": known(interest),
        "/v5/market/account-ratio": known(ratio),
    }


def _newest(rows: list[Any], query: Query, start: str, end: str, default: int, at: Any) -> list[Any]:
    low, high = int(query.get(start, 0)), int(query.get(end, 1 << 60))
    if low >= high:
        raise ValueError(f"{start} {low} is not before {end} {high}")
    return [row for row in rows if low <= at(row) <= high][::-1][: int(query.get("limit", default))]


def _contract(symbol: str, base: str, quote: str, kind: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "contractType": kind,
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0" if kind == "LinearPerpetual" else "1743148800000",
        "deliveryFeeRate": "",
        "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.50", "maxPrice": "999999.00", "tickSize": "0.50"},
        "lotSizeFilter": {"maxOrderQty": "100.000", "minOrderQty": "0.001", "qtyStep": "0.001"},
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": quote,
    }
