"""What the model says of the markets in the live store: regimes, board, signals, history, liquidation map."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.chart_steps import MAX_POINTS, STEPS
from serving.market_schemas import AgedAnswer, AgedBoard, AgedSignals, Chart, LiquidationMap
from serving.routes.aged_response import AGED_HEADERS, aged_response, takes_gzip
from serving.routes.current import market_feed
from serving.routes.query import MAX_SYMBOLS, moment, symbols_of, whole_number
from serving.routes.route import SYMBOL, GetRoute, Parameter, symbol_of

__all__ = ["MARKET_ROUTES"]

MAX_MAP_DAYS = 365
MAP_DAYS = 90
_MOMENT = {"type": "string", "maxLength": 40}

SYMBOLS = Parameter(
    "symbols",
    f"comma-separated, at most {MAX_SYMBOLS}; all that the store holds by default",
    {"type": "string", "pattern": "^[A-Z0-9]{2,24}(,[A-Z0-9]{2,24})*$"},
    "BTCUSDT,ETHUSDT",
)
SINCE = Parameter(
    "since",
    "first close, included: ISO 8601 in UTC or Unix milliseconds; 90 days before the end by default",
    _MOMENT,
    "2024-06-01",
)
UNTIL = Parameter("until", "end of the closes, excluded; the newest bar by default", _MOMENT, "2024-07-01")
STEP = Parameter(
    "step",
    "of the rows, at least the model's interval; by default the finest that gives no more than 2,200 rows",
    {"type": "string", "enum": list(STEPS)},
    "1h",
)
DAYS = Parameter(
    "days",
    f"days of the heat map; {MAP_DAYS} by default",
    {"type": "integer", "minimum": 1, "maximum": MAX_MAP_DAYS},
    "90",
)


async def regime(request: Request) -> Response:
    """Newest answer of a symbol."""
    return aged_response(request, await market_feed().answer(symbol_of(request)))


async def board(request: Request) -> Response:
    """Newest answers of all symbols."""
    return aged_response(request, await market_feed().board(symbols_of(request)))


async def signals(request: Request) -> Response:
    """Signals of a symbol."""
    return aged_response(request, await market_feed().signals(symbol_of(request)))


async def history(request: Request) -> Response:
    """Prices and replayed answers of a symbol."""
    since, until = moment(request, "since"), moment(request, "until")
    step = request.query_params.get("step")
    feed = market_feed()
    sent = await feed.chart(symbol_of(request), since, until, step, packed=takes_gzip(request))
    return aged_response(request, sent)


async def liquidation_map(request: Request) -> Response:
    """The estimated liquidation map of a symbol."""
    days = whole_number(request, "days", MAP_DAYS, MAX_MAP_DAYS)
    sent = await market_feed().liquidation_map(symbol_of(request), days, packed=takes_gzip(request))
    return aged_response(request, sent)


MARKET_ROUTES = [
    GetRoute(
        "/v1/regimes/{symbol}",
        regime,
        operation="regime",
        summary="Newest answer of a symbol",
        description="What `POST /v1/predict` says of the last window in the live store, as of its last "
        "close; the age of the data beside it.",
        model=AgedAnswer,
        parameters=[SYMBOL],
        errors=[404, 503],
        headers=AGED_HEADERS,
        tag="Markets",
    ),
    GetRoute(
        "/v1/board",
        board,
        operation="board",
        summary="All symbols at a glance",
        description="Regime, since when, confidence, bias, leverage and data age of each symbol in the live "
        "store; a symbol without an answer says why in `error`.",
        model=AgedBoard,
        parameters=[SYMBOLS],
        errors=[503],
        headers=AGED_HEADERS,
        tag="Markets",
    ),
    GetRoute(
        "/v1/signals/{symbol}",
        signals,
        operation="signals",
        summary="Signals of a symbol",
        description="Each signal at the newest bar, how many agree with the regime, and how many independent "
        "ones they amount to.",
        model=AgedSignals,
        parameters=[SYMBOL],
        errors=[404, 503],
        headers=AGED_HEADERS,
        tag="Markets",
    ),
    GetRoute(
        "/v1/history/{symbol}",
        history,
        operation="history",
        summary="Prices with replayed regimes and probabilities",
        description="What would have been answered at each close, by the model that is served now, with the "
        f"prices beside it; `in_sample` marks what is no forecast. At most {MAX_POINTS:,} rows. The first "
        "look at years of hourly bars takes seconds.",
        model=Chart,
        parameters=[SYMBOL, SINCE, UNTIL, STEP],
        errors=[404, 503],
        headers=AGED_HEADERS,
        tag="Markets",
    ),
    GetRoute(
        "/v1/liquidation_map/{symbol}",
        liquidation_map,
        operation="liquidation_map",
        summary="Estimated liquidation map",
        description="Where positions opened at past prices would be liquidated: at each UTC day's end, and "
        "now. An estimate from open interest, price and stated assumptions; without open interest it is "
        "empty and `reason` says so.",
        model=LiquidationMap,
        parameters=[SYMBOL, DAYS],
        errors=[404, 503],
        headers=AGED_HEADERS,
        tag="Markets",
    ),
]
