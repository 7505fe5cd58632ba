"""Paths of Binance USD-margined futures, in the shapes, limits and orders of the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fake_market import DAY, STEPS, FakeMarket

__all__ = ["binance_routes"]

Query = Mapping[str, str]
Answer = tuple[int, Any]
_INVALID_SYMBOL = (400, {"code": -1121, "msg": "Invalid symbol."})
_KEPT = 30 * DAY


def _bad(name: str) -> Answer:
    return 400, {"code": -1130, "msg": f"parameter '{name}' is invalid."}


def binance_routes(markets: Mapping[str, FakeMarket], clock: Any) -> dict[str, Any]:
    """Path to function of the query that gives status and JSON."""

    def klines(query: Query) -> Answer:
        market = markets.get(query["symbol"])
        if market is None:
            return _INVALID_SYMBOL
        limit = int(query.get("limit", 500))
        if not 1 <= limit <= 1500:
            return _bad("limit")
        interval = query["interval"]
        step = STEPS[interval]
        page = _cut(market.bars(interval), lambda row: row[0], query, limit)
        return 200, [
            [at, *map(str, bar[:5]), at + step - 1, str(bar[5]), 9, str(bar[4] * 0.45), str(bar[6]), "0"]
            for at, bar in page
        ]

    def funding(query: Query) -> Answer:
        market = markets.get(query["symbol"])
        if market is None:
            return _INVALID_SYMBOL
        limit = min(1000, int(query.get("limit", 100)))
        rows = [
            # A few ms after the hour, as the real ones.
            {
                "symbol": market.symbol,
                "fundingTime": at + at // DAY % 7,
                "fundingRate": f"{rate:.8f}",
                "markPrice": "1.0",
            }
            for at, rate in market.settlements()
        ]
        return 200, _cut(rows, lambda row: row["fundingTime"], query, limit)

    def statistic(rows_of: Any) -> Any:
        def answer(query: Query) -> Answer:
            market = markets.get(query["symbol"])
            if market is None:
                return _INVALID_SYMBOL
            if query["period"] != "1h":
                return _bad("period")
            if not 1 <= int(query.get("limit", 30)) <= 500:
                return _bad("limit")
            if int(query["startTime"]) >= int(query["endTime"]):
                return _bad("endTime")
            if int(query["startTime"]) < clock() - _KEPT:
                return _bad("startTime")
            rows = [
                row
                for row in market.once(rows_of, lambda: rows_of(market))
                if row["timestamp"] >= clock() - _KEPT
            ]
            return 200, _cut(rows, lambda row: row["timestamp"], query, int(query.get("limit", 30)))

        return answer

    def interest(market: FakeMarket) -> list[dict[str, Any]]:
        return [
            {
                "symbol": market.symbol,
                "sumOpenInterest": f"{coins:.8f}",
                "sumOpenInterestValue": f"{usd:.8f}",
                "CMCCirculatingSupply": "165880.538",
                "timestamp": at,
            }
            for at, usd, coins in market.interest()
        ]

    def ratio(market: FakeMarket) -> list[dict[str, Any]]:
        return [
            {
                "symbol": market.symbol,
                "longAccount": f"{value / (1 + value):.4f}",
                "longShortRatio": f"{value:.4f}",
                "shortAccount": f"{1 / (1 + value):.4f}",
                "timestamp": at,
            }
            for at, value in market.ratios()
        ]

    def info(_query: Query) -> Answer:
        symbols = [_contract(m.symbol, m.base, "USDT", "PERPETUAL") for m in markets.values()]
        symbols += [
            _contract("BTCUSDC", "BTC", "USDC", "PERPETUAL"),
            _contract("BTCUSDT_250328", "BTC", "USDT", "CURRENT_QUARTER"),
        ]
        return 200, {"timezone": "UTC", "serverTime": clock(), "rateLimits": [], "symbols": symbols}

    return {
        "/fapi/v1/time": lambda _query: (200, {"serverTime": clock()}),
        "/fapi/v1/exchangeInfo": info,
        "/fapi/v1/klines": klines,
        "/fapi/v1/fundingRate": funding,
        "/futures/data/openInterestHist": statistic(interest),
        "/futures/data/globalLongShortAccountRatio": statistic(ratio),
    }


def _cut(rows: list[Any], at: Any, query: Query, limit: int) -> list[Any]:
    """Oldest first; with a start the first ``limit`` from it, else the newest."""
    start, end = int(query.get("startTime", 0)), int(query.get("endTime", 1 << 60))
    inside = [row for row in rows if start <= at(row) <= end]
    return inside[:limit] if "startTime" in query else inside[-limit:]


def _contract(symbol: str, base: str, quote: str, kind: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "pair": f"{base}{quote}",
        "contractType": kind,
        "deliveryDate": 4133404800000 if kind == "PERPETUAL" else 1743148800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "4529764", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC"],
    }
