"""The request and the answer, as they are on the wire.

Times in requests are integer Unix milliseconds UTC, in answers ISO 8601 with ``Z``. Unknown fields
are refused. Fields of the answer may be added, never renamed; what an answer does not have is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

__all__ = [
    "Account",
    "Advice",
    "Answer",
    "Band",
    "CalculationStep",
    "Context",
    "Flip",
    "Haircut",
    "ModelInfo",
    "Novelty",
    "OpenPosition",
    "PositionReport",
    "PredictRequest",
    "Probabilities",
    "Rally",
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
Column = Annotated[
    list[Number],
    BeforeValidator(_none_as_nan),
    Field(max_length=MAX_BARS),
    WithJsonSchema({"type": "array", "items": {"type": ["number", "null"]}, "maxItems": MAX_BARS}),
]
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
    leverage: Number = Field(gt=0, le=150, description="notional / isolated margin at entry")
    paid: Number = Field(
        0.0,
        ge=-1e15,
        le=1e15,
        description="fees and funding taken from the isolated margin so far, quote currency; below 0 they "
        "were received",
    )


class Account(_Strict):
    """What the advice may count with. Without it, tier 1 and no sizes."""

    equity: Amount = Field(description="account equity, quote currency")
    risk_per_trade: Number = Field(0.01, gt=0, le=0.02, description="share of equity one position may lose")
    leverage_cap: Number = Field(5.0, gt=0, le=5, description="may only lower the cap of 5")
    exchange: Literal["binance", "okx"] = "binance"
    survival_level: Number | None = Field(
        None,
        ge=0.9,
        le=0.9999,
        description="chance to live through the horizon, for the leverage; the model's if left out",
    )
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


class Flip(_Out):
    """What it would take for another regime to be answered."""

    to: RegimeName
    needs: float = Field(
        description="probability that has to move to `to` from the answered regime, in the average of the "
        "last hours"
    )
    lacking_cost: float = Field(
        description="by how much answering `to` still has to become cheaper, in plain mistakes"
    )
    bars: int | None = Field(
        description="about how many more bars like the last one bring it; null where they do not"
    )
    words: str


class Survival(_Out):
    """What the leverage is meant to live through."""

    level: float = Field(description="share of outcomes that the position is to survive")
    horizon_days: int
    adverse_excursion: float = Field(description="how far price goes against `side` at that level, fraction")
    liquidation_price: float | None = Field(description="of `side` at `leverage`, entered at the last close")
    worst_liquidation_price: float | None = Field(
        description="the closest one over the moments of the tranche plan, fees and funding of the horizon "
        "paid; it lies beyond the adverse excursion"
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

    share: float = Field(description="of the whole notional")
    trigger: str = Field(description="signal, confirmation or reserve")
    price: float | None
    notional: float | None = Field(None, description="quote currency; null without an account")
    quantity: float | None = Field(None, description="coins at `price`")
    average_entry: float | None = Field(None, description="once this tranche and those before it are filled")
    liquidation_price: float | None = Field(None, description="at that average entry")
    words: str = ""


class Rally(_Out):
    """What the probabilities say of a relief rally's end."""

    phase: Literal["running", "back_to_bear", "turning_bull"] = Field(
        description="which of relief rally, bear and bull is the likeliest"
    )
    back_to_bear: float | None = Field(description="p(bear) / (p(bear) + p(bull)); null where both are 0")
    turning_bull: float | None = Field(description="the rest to 1")


class Band(_Out):
    """Prices that a range is traded from: short above `upper`, long below `lower`, back to `mean`."""

    lower: float
    mean: float = Field(description="20-day mean")
    upper: float


class FundingPerDay(_Out):
    """Funding that `side` is expected to pay (positive) or get (negative) a day."""

    rate: float = Field(description="fraction of notional a day; positive: `side` pays")
    money: float | None = Field(description="quote currency a day; null without an account")
    spike_rate: float | None = Field(
        None, description="fraction of notional a day that `side` pays if the rate goes to its cap against it"
    )
    spike_money: float | None = Field(None, description="the same in quote currency")


class PositionReport(_Out):
    """The open position of the request, looked at."""

    margin_left: float = Field(description="margin less what was paid plus unrealised profit, quote currency")
    maintenance_margin: float = Field(description="that is needed at the last close, quote currency")
    effective_leverage: float | None = Field(description="notional now / margin left; null where none is")
    liquidation_price: float
    bankruptcy_price: float = Field(description="where the margin is used up; 0 for a long that keeps some")
    distance: float = Field(description="move to the liquidation price, fraction of the last close")
    chance_1d: float | None = Field(description="that it is liquidated within a day")
    chance_3d: float | None
    chance_7d: float | None
    danger: bool
    reduce_to: float | None = Field(description="notional to come down to; null where none is needed")


class Advice(_Out):
    """Bias and leverage, with each step of the calculation."""

    side: Side
    short_share: float = Field(description="share of the gross directional exposure that is short")
    size_factor: float = Field(description="of the whole size: 0.5 in a range")
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
    notional: float | None = Field(description="of `side` with everything filled, quote currency")
    margin: float | None = Field(description="to set aside for it: notional / leverage")
    funding_per_day: FundingPerDay | None
    rally: Rally | None = Field(None, description="in a relief rally")
    band: Band | None = Field(None, description="in a range")
    position: PositionReport | None
    withheld: dict[str, str] = Field(
        default_factory=dict, description="why a value is null: its path and a reason"
    )


class SignalReading(_Out):
    """One signal in the trader's words."""

    name: str
    state: SignalState
    value: float | None
    threshold: float | None
    late: bool = Field(False, description="the move that it speaks of is often nearly over")


class Novelty(_Out):
    """How unlike the training rows this bar's features are."""

    percentile: float = Field(description="share of training rows that were less unusual, 0 to 1")
    distance: float = Field(description="squared Mahalanobis distance behind it")


class ModelInfo(_Out):
    """Which model answered."""

    version: str
    run_id: str | None
    trained_until: datetime
    age_days: float = Field(description="from `trained_until` to `as_of`")
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
    flips: list[Flip] = Field(description="what would make each other regime the answer, the nearest first")
    probabilities: Probabilities
    prediction_set: list[RegimeName] = Field(
        description="regimes that cannot be ruled out at 90 % coverage, the likeliest first; `regime` is "
        "always among them"
    )
    advice: Advice
    signals: list[SignalReading]
    agreeing: int = Field(description="signals that say what the regime says")
    available: int = Field(description="signals that are not missing")
    effective_signals: float | None = Field(
        description="how many independent signals the available ones amount to, by the correlations of 90 "
        "days; null where fewer than two can be compared"
    )
    novelty: Novelty | None = Field(
        description="how unlike the training rows the bar is; null where fewer than half of the features "
        "are known"
    )
    degraded: list[str]
    model: ModelInfo
    reasons: list[str]
    disclaimer: str = DISCLAIMER
