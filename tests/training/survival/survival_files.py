"""A small market as files, with a replay file beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from histories import raw_market

from features.history import History
from features.raw import RawMarket
from features.regimes import REGIMES
from training.survival.survival_command import hindsight_index

__all__ = ["late_answers", "market", "write_files"]


def market(symbol: str = "BTCUSDT", days: int = 230, seed: int = 3, interval: str = "4h") -> RawMarket:
    """A random market."""
    bars = days * 24 // int(interval[0])
    return replace(raw_market(bars, interval, seed=seed), symbol=symbol)


def late_answers(raw: RawMarket) -> pd.DataFrame:
    """Hindsight of two days before, as a stand-in for what a model answered."""
    history = History.from_raw(raw)
    regime = pd.Series(hindsight_index(history)).shift(12).fillna(-1).to_numpy(np.int64)
    frame = pd.DataFrame({"time": history.time, "symbol": raw.symbol, "in_sample": False})
    frame["regime"] = [REGIMES[one] if one >= 0 else None for one in regime]
    frame["model_version"] = "late"
    return frame.astype({"regime": "str"})


def write_files(raw: RawMarket, folder: Path) -> None:
    """The market in a folder of the files source."""
    own = folder / raw.symbol
    own.mkdir(parents=True)
    raw.bars.to_parquet(own / f"bars_{raw.interval}.parquet", index=False)
    for name in ("funding", "open_interest"):
        getattr(raw, name).to_parquet(own / f"{name}.parquet", index=False)
