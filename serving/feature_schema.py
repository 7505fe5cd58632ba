"""How a manifest names a feature that a model reads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["FeatureSchema"]


class FeatureSchema(BaseModel):
    """One feature that a model reads, in column order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    lookback_bars: int
    unit: str
    inputs: list[str]
    words: str
