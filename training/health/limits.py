"""From where on a number of the health report is a warning, and from where on it is bad."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HealthLimits"]


class HealthLimits(BaseModel):
    """Limits, with the figures of the walk behind them in ``docs/decisions/0011-drift.md``.

    Examples
    --------
    >>> HealthLimits().gap_warn
    0.15
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data_warn_bars: float = Field(3.0, gt=0, description="age of the newest bar, in bars")
    data_bad_hours: float = Field(24.0, gt=0, description="the same in hours, at least six bars")
    unusual_warn: float = Field(0.01, ge=0, le=1, description="share of recent rows that are unusual")
    unusual_bad: float = Field(0.10, ge=0, le=1, description="the same")
    gap_warn: float = Field(
        0.15, gt=0, description="realised less expected log loss of the last confirmed days, nats"
    )
    gap_bad: float = Field(0.24, gt=0, description="the same")
    coverage_warn: float = Field(0.83, ge=0, le=1, description="share of prediction sets that held the truth")
    coverage_bad: float = Field(0.75, ge=0, le=1, description="the same")
    recall_fall: float = Field(
        0.25, gt=0, le=1, description="recall of a regime below that of the walk-forward, a warning"
    )
    recall_spells: int = Field(5, ge=1, description="independent spells that a regime needs to be judged")
    confirmed_days: int = Field(90, ge=1, description="days of confirmed labels that are looked at")
    months: int = Field(12, ge=1, le=120, description="calendar months in the table")
