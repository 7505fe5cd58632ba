"""What the GET routes say of the markets in the live store.

Every model without an age is a pure function of bundle and store: ``as_of`` is the newest bar's close.
The ``Aged`` part is the only one that looks at the clock, and is added at the moment of the answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.data_age import DataState
from serving.error_schemas import ErrorDetail
from serving.schemas import (
    DISCLAIMER,
    Answer,
    Probabilities,
    RegimeName,
    Side,
    SignalReading,
)

__all__ = [
    "AgedAnswer",
    "AgedBoard",
    "AgedBoardRow",
    "AgedSignals",
    "Board",
    "BoardModel",
    "BoardRow",
    "Chart",
    "LiquidationCell",
    "LiquidationMap",
    "SignalsNow",
]


class _Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Aged(_Out):
    data_age_seconds: int | None = Field(
        description="seconds since the newest bar closed, at the moment of this answer; below 0 where it "
        "closes in the future of the service's clock; null where there is no bar"
    )
    data_state: DataState | None = Field(
        description="current: no bar is overdue; late: one or two are; stale: more, the answer is about the "
        "past; ahead: the newest bar closes in the future of the service's clock"
    )


class BoardRow(_Out):
    """One symbol of the board; where there is no answer, `error` says why and the rest is null."""

    symbol: str
    as_of: datetime | None = Field(None, description="close of the newest bar")
    valid_until: datetime | None = Field(None, description="the next bar's close")
    close: float | None = Field(None, description="quote currency")
    change_24h: float | None = Field(None, description="of the close, fraction; null where a bar is missing")
    regime: RegimeName | None = None
    since: datetime | None = Field(None, description="first bar of this regime")
    since_at_least: bool | None = Field(None, description="the regime is older than the window tells")
    confidence: float | None = Field(None, description="calibrated probability of `regime`")
    probabilities: Probabilities | None = None
    prediction_set: list[RegimeName] | None = None
    side: Side | None = None
    short_share: float | None = Field(
        None, description="share of the gross directional exposure that is short"
    )
    size_factor: float | None = None
    leverage: float | None = Field(None, description="of `side`; 0 is: stand aside")
    leverage_short: float | None = None
    leverage_long: float | None = None
    agreeing: int | None = None
    available: int | None = None
    degraded: list[str] = Field(default_factory=list)
    error: ErrorDetail | None = None


class BoardModel(_Out):
    """The model behind a board."""

    version: str
    trained_until: datetime
    data_source: str


class Board(_Out):
    """The newest answer for each symbol of the store, by symbol."""

    interval: str
    model: BoardModel
    rows: list[BoardRow]
    disclaimer: str = DISCLAIMER


class SignalsNow(_Out):
    """The signals at the newest bar."""

    symbol: str
    as_of: datetime
    valid_until: datetime
    regime: RegimeName
    signals: list[SignalReading]
    agreeing: int
    available: int
    effective_signals: float | None
    degraded: list[str]
    disclaimer: str = DISCLAIMER


class Chart(_Out):
    """Prices and what would have been answered at each close, in columns of one length.

    A bar that the store lacks is null in the prices; where nothing would have been answered, the regime and
    the probabilities are null.
    """

    symbol: str
    interval: str = Field(description="of the bars that were answered")
    step: str = Field(description="of the rows: prices of all its bars, answer of the last one")
    time: list[datetime] = Field(description="each row's close; the last one may close before its step ends")
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    regime: list[RegimeName | None]
    bear: list[float | None] = Field(description="calibrated probability")
    ranging: list[float | None]
    relief_rally: list[float | None]
    bull: list[float | None]
    in_sample: list[bool] = Field(
        description="the model was fitted on labels at or after this bar: its answer is no forecast there"
    )
    trained_until: datetime
    model_version: str
    first: datetime = Field(description="first bar close in the store")
    last: datetime = Field(description="newest bar close in the store")
    disclaimer: str = DISCLAIMER


class LiquidationCell(_Out):
    """Estimated positions that are liquidated at one price."""

    price: float = Field(description="middle of the cell, quote currency")
    side: Literal["short", "long"]
    weight: float = Field(description="share of open interest")


class LiquidationMap(_Out):
    """The estimated liquidation map: where positions opened at past prices would be liquidated.

    An estimate from open interest, price and stated assumptions; nobody publishes positions.
    """

    symbol: str
    as_of: datetime
    time: list[datetime] = Field(description="UTC day ends of the heat map")
    price: list[float] = Field(description="middle of each price step, rising; equal steps of log price")
    share: list[list[float]] = Field(
        description="a row for each day, a value for each price: share of open interest, longs and shorts "
        "together"
    )
    now: list[LiquidationCell] = Field(description="the map at the newest bar, by price")
    close: float = Field(description="newest close, quote currency")
    assumptions: dict[str, float | list[float]] = Field(description="of the estimate, by name")
    reason: Literal["open_interest_missing"] | None = Field(
        description="why there is no map; null where it is"
    )
    disclaimer: str = DISCLAIMER


class AgedAnswer(Answer, _Aged):
    """The newest answer of a symbol, and the age of its data."""


class AgedSignals(SignalsNow, _Aged):
    """The signals at the newest bar, and the age of the data."""


class AgedBoardRow(BoardRow, _Aged):
    """One symbol of the board, and the age of its data."""


class AgedBoard(Board):
    """The board, with the age of each symbol's data."""

    rows: list[AgedBoardRow]  # type: ignore[assignment]
