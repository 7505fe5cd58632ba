"""The request and the answer, as they are on the wire.

Times in requests are integer Unix milliseconds UTC, in answers ISO 8601 with ``Z``. Unknown fields
are refused. Fields of the answer may be added, never renamed; what an answer does not have is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "Account",
    "Advice",
    "Answer",
    "CalculationStep",
    "Context",
    "Haircut",
    "ModelInfo",
    "OpenPosition",
    "PositionReport",
    "PredictRequest",
    "Probabilities",
    "SignalReading",
    "Survival",
    "Tranche",
]

MAX_BARS = 20_000
DISCLAIMER = "Information, not financial advice."

RegimeName = Literal["bear", "ranging", "relief_rally", "bull"]
Side = Literal["short", "long", "flat"]
SignalState = Literal["bearish", "bullish", "neutral", "missing"]


def _none_as_nan(values: object) -> object:
    """Null in a column is a missing value."""
    if isinstance(values, list):
        return [float("nan") if value is None else value for value in values]
    return values


Number = Annotated[float, Field(strict=True)]
Column = Annotated[list[Number], BeforeValidator(_none_as_nan), Field(max_length=MAX_BARS)]
"""One value a bar; null where missing."""
Amount = Annotated[float, Field(strict=True, ge=1e-9, le=1e15)]
"""Money or a price, in a range that arithmetic bears."""

UnixMilliseconds = Annotated[int, Field(strict=True, ge=0, le=4_102_444_800_000)]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,24}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Context(_Strict):
    """Closes of another symbol, for features that look across markets."""

    time: list[UnixMilliseconds] = Field(max_length=MAX_BARS, description="each bar's CLOSE")
    close: Column = Field(description="null where a bar is missing")

    @model_validator(mode="after")
    def _one_length(self) -> Context:
        if len(self.time) != len(self.close):
            raise ValueError(f"time has {len(self.time)} values, close {len(self.close)}")
        return self


class OpenPosition(_Strict):
    """A position that is open now."""

    side: Literal["short", "long"]
    notional: Amount = Field(description="position size at entry, quote currency")
    entry: Amount = Field(description="entry price")
    leverage: Number = Field(gt=0, le=150, description="notional / isolated margin")


class Account(_Strict):
    """What the advice may count with. Without it, tier 1 and no sizes."""

    equity: Amount = Field(description="account equity, quote currency")
    risk_per_trade: Number = Field(0.01, gt=0, le=0.02, description="share of equity one position may lose")
    leverage_cap: Number = Field(5.0, gt=0, le=5, description="may only lower the cap of 5")
    exchange: Literal["binance", "okx"] = "binance"
    position: OpenPosition | None = None


class PredictRequest(_Strict):
    """One window of history, in columns."""

    symbol: Symbol = Field(description="such as BTCUSDT", examples=["BTCUSDT"])
    interval: Literal["1h", "4h", "1d"] = "1h"
    as_of: UnixMilliseconds | None = Field(
        None, description="the moment of the question; now by default, the last bar's close in a replay"
    )
    time: list[UnixMilliseconds] = Field(
        min_length=1, max_length=MAX_BARS, description="each bar's CLOSE, oldest first"
    )
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    funding_rate: Column | None = Field(None, description="fraction per interval, positive: longs pay")
    funding_interval_hours: Column | None = None
    open_interest: Column | None = Field(None, description="USD")
    liq_long_usd: Column | None = None
    liq_short_usd: Column | None = None
    lsr_global: Column | None = None
    taker_buy_usd: Column | None = None
    taker_sell_usd: Column | None = None
    lsr_top_accounts: Column | None = Field(None, description="long/short ratio of top traders' accounts")
    lsr_top_positions: Column | None = Field(None, description="long/short ratio of their positions")
    taker_ratio: Column | None = Field(None, description="taker buy volume over sell volume")
    fear_greed: Column | None = Field(None, description="0 to 100")
    put_call: Column | None = Field(None, description="put/call ratio")
    exchange_inflow: Column | None = Field(None, description="flows into exchanges, negative: out of them")
    context: dict[Symbol, Context] | None = Field(
        None,
        description="closes of the symbols that the model looks across: `context_symbols` of GET /v1/model; "
        "none later than the window's last bar",
    )
    account: Account | None = None

    @model_validator(mode="after")
    def _one_length(self) -> PredictRequest:
        for name in VALUE_COLUMNS:
            values = getattr(self, name)
            if values is not None and len(values) != len(self.time):
                raise ValueError(f"{name} has {len(values)} values, time has {len(self.time)}")
        return self


VALUE_COLUMNS: tuple[str, ...] = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "funding_rate",
    "funding_interval_hours",
    "open_interest",
    "liq_long_usd",
    "liq_short_usd",
    "lsr_global",
    "taker_buy_usd",
    "taker_sell_usd",
    "lsr_top_accounts",
    "lsr_top_positions",
    "taker_ratio",
    "fear_greed",
    "put_call",
    "exchange_inflow",
)


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class Probabilities(_Out):
    """Calibrated probability of each regime; they add up to 1."""

    bear: float
    ranging: float
    relief_rally: float
    bull: float


class Survival(_Out):
    """What the leverage is meant to live through."""

    level: float = Field(description="share of outcomes that the position is to survive")
    horizon_days: int
    adverse_excursion: float = Field(description="how far price goes against `side` at that level, fraction")
    liquidation_price: float | None = Field(description="of `side` at `leverage`, entered at the last close")
    worst_liquidation_price: float | None = Field(
        description="the closest one over the moments of the tranche plan; null until the plan has prices"
    )


class CalculationStep(_Out):
    """One step of the leverage calculation: redo it by hand."""

    name: str
    value: float
    words: str


class Haircut(_Out):
    """Why the leverage is lower than the formula's."""

    name: str
    factor: float


class Tranche(_Out):
    """One part of the entry plan."""

    share: float
    trigger: str
    price: float | None


class FundingPerDay(_Out):
    """Funding that `side` is expected to pay (positive) or get (negative) a day."""

    rate: float = Field(description="fraction of notional a day; positive: `side` pays")
    money: float | None = Field(description="quote currency a day; null without an account")


class PositionReport(_Out):
    """The open position of the request, looked at."""

    margin_left: float = Field(description="margin plus unrealised profit, quote currency")
    liquidation_price: float
    distance: float = Field(description="move to the liquidation price, fraction of the last close")
    chance_1d: float | None
    chance_3d: float | None
    chance_7d: float | None
    danger: bool
    reduce_to: float | None = Field(description="notional to come down to; null where none is needed")


class Advice(_Out):
    """Bias and leverage, with each step of the calculation."""

    side: Side
    short_share: float = Field(description="share of the gross directional exposure that is short")
    size_factor: float
    leverage: float = Field(description="of `side`; 0 is: stand aside")
    leverage_short: float
    leverage_long: float
    leverage_cap: float
    survival: Survival
    calculation: list[CalculationStep]
    haircuts: list[Haircut]
    tranches: list[Tranche]
    stop_price: float | None
    target_price: float | None
    notional: float | None
    margin: float | None
    funding_per_day: FundingPerDay | None
    position: PositionReport | None


class SignalReading(_Out):
    """One signal in the trader's words."""

    name: str
    state: SignalState
    value: float | None
    threshold: float | None
    late: bool = Field(False, description="the move that it speaks of is often nearly over")


class ModelInfo(_Out):
    """Which model answered."""

    version: str
    run_id: str | None
    trained_until: datetime
    state: Literal["fresh", "stale", "expired"]
    data_source: str


class Answer(_Out):
    """The answer: a pure function of bundle, window and as_of."""

    symbol: str
    as_of: datetime
    valid_until: datetime = Field(description="the next bar's close")
    regime: RegimeName
    since: datetime = Field(description="first bar of this regime, as far back as the window tells")
    since_at_least: bool = Field(description="true where the regime is older than the window tells")
    probabilities: Probabilities
    prediction_set: list[RegimeName]
    advice: Advice
    signals: list[SignalReading]
    agreeing: int = Field(description="signals that say what the regime says")
    available: int = Field(description="signals that are not missing")
    effective_signals: float | None = Field(
        description="how many independent signals the available ones amount to, by the correlations of 90 "
        "days; null where fewer than two can be compared"
    )
    degraded: list[str]
    model: ModelInfo
    reasons: list[str]
    disclaimer: str = DISCLAIMER
