"""The survival table of a symbol: measured chances of liquidation, a file of plain JSON that is served.

``bearmode survival SYMBOL`` writes ``<bundles>/survival/<SYMBOL>.json``; ``GET /v1/survival/{symbol}``
sends the file as it is, once it has been found to be one. It is history, not part of a model: no
bundle refers to it, and it stays when the champion changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.request_symbol import SYMBOL_PATTERN, check_symbol
from serving.web_errors import RequestRefusedError

__all__ = [
    "DISCLAIMER",
    "OnlineSource",
    "SurvivalCell",
    "SurvivalTable",
    "read_survival",
    "survival_file",
]

DISCLAIMER = "Measured on the past, which the future need not repeat. Information, not financial advice."

_LARGEST_FILE = 8_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SurvivalCell(_Strict):
    """How often one kind of position was liquidated; the interval is of 95 %."""

    view: Literal["online", "hindsight"] = Field(
        description="whose regime: the walk-forward answer of the hour, or the label that saw the future"
    )
    regime: Literal["any", "bear", "ranging", "relief_rally", "bull"] = Field(description="when opened")
    side: Literal["short", "long"]
    leverage: float = Field(gt=0)
    days: int = Field(gt=0, description="liquidated within so many days")
    probability: float | None = Field(ge=0, le=1, description="null where nothing was opened")
    low: float | None = Field(ge=0, le=1)
    high: float | None = Field(ge=0, le=1)
    entries: int = Field(ge=0, description="hours at which a position was opened and its end is known")
    liquidated: int = Field(ge=0, description="of them")
    weeks: int = Field(ge=0, description="calendar weeks with an entry: the evidence is of this size")
    blocks: int = Field(ge=0, description="blocks of time that the interval draws from")


class OnlineSource(_Strict):
    """Where the walk-forward regimes came from."""

    models: list[str]
    since: str
    until: str


class SurvivalTable(_Strict):
    """The measured survival of positions in one symbol."""

    symbol: str = Field(pattern=SYMBOL_PATTERN)
    interval: str
    source: str
    since: str = Field(description="first bar close, ISO 8601")
    until: str = Field(description="last bar close, ISO 8601")
    exchange: str
    tiers_as_of: str | None = Field(description="date of the margin tiers; null: 3 % and 20x assumed")
    notional: float = Field(gt=0, description="of each position, quote currency: it decides the tier")
    maintenance_rate: float = Field(gt=0, lt=1, description="of the tier at entry")
    largest_leverage: float = Field(gt=0, description="that the tier allows")
    fee: float = Field(ge=0, description="taken from the margin at entry, fraction of notional")
    funding_known: float = Field(ge=0, le=1, description="share of the bars with a known funding rate")
    leverages: list[float]
    not_allowed: list[float] = Field(description="asked for, and beyond the tier's largest leverage")
    days: list[int]
    online: OnlineSource | None = Field(description="null where no walk-forward regimes were there")
    notes: list[str]
    cells: list[SurvivalCell]
    disclaimer: str = DISCLAIMER


def survival_file(bundles: Path, symbol: str) -> Path:
    """File of a symbol's table beside the bundles."""
    return bundles / "survival" / f"{symbol}.json"


def read_survival(bundles: Path, symbol: str) -> bytes:
    """JSON of a symbol's table, checked.

    Raises
    ------
    RequestRefusedError
        422 for what is no symbol, 404 where there is no table, 503 where the file is not one.
    """
    check_symbol(symbol)
    path = survival_file(bundles, symbol)
    broken = RequestRefusedError(
        503,
        f"the survival table of {symbol} cannot be read",
        code="bad_survival_table",
        field="symbol",
        hint=f"write it again: bearmode survival {symbol}",
    )
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise broken
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise RequestRefusedError(
            404,
            f"there is no survival table of {symbol}",
            code="no_survival_table",
            field="symbol",
            hint=f"bearmode survival {symbol} writes it",
        ) from error
    except OSError as error:
        raise broken from error
    try:
        table = SurvivalTable.model_validate_json(content)
    except ValidationError as error:
        raise broken from error
    if table.symbol != symbol:
        raise broken
    return content
