"""As much of freqtrade's interface as the example strategy uses: candles by pair, and what they were when."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from features.raw import RawMarket

__all__ = ["Candles", "candles_of", "load_strategy"]


class IStrategy:
    """freqtrade's base class, down to its constructor."""

    dp: Any = None

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config


def load_strategy(root: Path) -> Any:
    """The strategy's class, loaded as freqtrade loads it: as a file."""
    interface = types.ModuleType("freqtrade.strategy")
    interface.IStrategy = IStrategy  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in ("freqtrade", "freqtrade.strategy")}
    sys.modules |= {"freqtrade": types.ModuleType("freqtrade"), "freqtrade.strategy": interface}
    try:
        path = root / "docs" / "examples" / "freqtrade" / "BearmodeStrategy.py"
        spec = importlib.util.spec_from_file_location("BearmodeStrategy", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, found in before.items():
            if found is None:
                del sys.modules[name]
            else:
                sys.modules[name] = found
    return module.BearmodeStrategy


@dataclass
class Candles:
    """freqtrade's data provider: stored candles, and the live ones, the forming one among them.

    Attributes
    ----------
    stored, live, funding : pandas.DataFrame
        ``date`` (the candle's open) with prices and volume; ``date`` and ``funding_rate``.
    """

    stored: pd.DataFrame
    live: pd.DataFrame
    funding: pd.DataFrame = field(default_factory=pd.DataFrame)

    def historic_ohlcv(self, pair: str, timeframe: str) -> pd.DataFrame:
        assert pair.endswith(":USDT")
        assert timeframe == "4h"
        return self.stored.copy()

    def get_pair_dataframe(self, pair: str, timeframe: str, candle_type: str = "") -> pd.DataFrame:
        assert (pair[-5:], timeframe, candle_type in {"", "funding_rate"}) == (":USDT", "4h", True)
        return (self.funding if candle_type else self.live).copy()


def candles_of(market: RawMarket, stored: int, live: int) -> Candles:
    """The newest candles of a market, split as freqtrade has them; the last live one is still forming."""
    bars = market.bars.rename(columns={"open_time": "date"})
    bars = bars[["date", "open", "high", "low", "close", "volume"]].reset_index(drop=True)
    assert market.funding is not None
    funding = market.funding.rename(columns={"time": "date"})[["date", "funding_rate"]]
    cut = len(bars) - live
    # They overlap, as a download and what the exchange hands out do.
    return Candles(bars.iloc[max(0, cut - stored) : cut + 5], bars.iloc[cut:], funding)
