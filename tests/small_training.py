"""A training small enough for tests: two simulated symbols, four-hour bars, few trees, with gaps."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.history import History
from features.raw import RawMarket
from features.sources import load_simulated
from training.pipeline import default_features, default_recipe
from training.settings import Places
from training.walk_forward import Recipe

__all__ = [
    "LONG",
    "SYMBOLS",
    "UNTIL",
    "Trained",
    "copy_places",
    "new_places",
    "replaced_after",
    "small_histories",
    "small_markets",
    "small_recipe",
    "snapshot",
]

LONG = os.environ.get("BEARMODE_TIER") == "long"
"""Whether full counts are asked for."""
SYMBOLS = ("SIMBTC", "SIMETH")
UNTIL = pd.Timestamp("2023-03-15", tz="UTC")
GAP = pd.Timestamp("2023-02-01", tz="UTC")
"""SIMETH lacks three bars from here, and SIMBTC its open interest for ten days before."""


@dataclass(frozen=True)
class Trained:
    """A finished small training.

    Attributes
    ----------
    places : Places
        The store holds the markets; the model is champion.
    result : dict
        What ``train`` returned, JSON-ready.
    """

    places: Places
    result: dict[str, Any]

    @property
    def bundle(self) -> Path:
        return Path(self.result["bundle"])


@cache
def small_markets() -> tuple[RawMarket, ...]:
    """Raw tables with a hole in the bars of one symbol and in the open interest of the other."""
    first, second = load_simulated(list(SYMBOLS), interval="4h", until=UNTIL)
    close = second.bars["open_time"] + pd.Timedelta(hours=4)
    hole = (close >= GAP) & (close < GAP + pd.Timedelta(hours=12))
    second = replace(second, bars=second.bars[~hole].reset_index(drop=True))
    assert first.open_interest is not None
    known = first.open_interest["time"]
    kept = (known < GAP - pd.Timedelta(days=10)) | (known >= GAP)
    first = replace(first, open_interest=first.open_interest[kept].reset_index(drop=True))
    return first, second


def small_histories() -> list[History]:
    """The markets joined."""
    return [History.from_raw(market) for market in small_markets()]


def small_recipe(rounds: int = 8) -> Recipe:
    """The default recipe with fewer and smaller trees."""
    recipe = default_recipe(default_features())
    return replace(
        recipe,
        boosting=replace(recipe.boosting, rounds=rounds, leaves=7, min_rows=40),
        squeeze=replace(recipe.squeeze, rounds=3, min_rows=40),
    )


def new_places(root: Path) -> Places:
    """Empty places under a folder."""
    return Places(store=root / "data", bundles=root / "bundles", mlruns=root / "mlruns")


def copy_places(places: Places, root: Path) -> Places:
    """The same champion, runs and registry in a place of their own; no second migration."""
    copied = new_places(root)
    shutil.copytree(places.bundles, copied.bundles)
    copied.mlruns.mkdir(parents=True)
    database = copied.mlruns / "mlflow.db"
    with sqlite3.connect(places.mlruns / "mlflow.db") as old, sqlite3.connect(database) as new:
        old.backup(new)
        moved = ((copied.mlruns / "artifacts").as_uri(), "bearmode")
        new.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", moved)
    new.close()
    old.close()
    return copied


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replaced_after(market: RawMarket, moment: pd.Timestamp, seed: int = 5) -> RawMarket:
    """The market with everything that became known at or after a moment made up anew."""
    rng = np.random.default_rng(seed)
    bars = market.bars.copy()
    later = (bars["open_time"] + pd.Timedelta(hours=4) >= moment).to_numpy()
    factor = np.exp(np.cumsum(rng.normal(-0.004, 0.05, size=int(later.sum()))))
    for name in ("open", "high", "low", "close"):
        bars.loc[later, name] *= factor
    bars.loc[later, "volume"] *= 3.0
    tables: dict[str, pd.DataFrame | None] = {}
    for table, column in (("funding", "funding_rate"), ("open_interest", "open_interest_value")):
        found = getattr(market, table)
        changed = None if found is None else found.copy()
        if changed is not None:
            rows = (changed["time"] >= moment).to_numpy()
            changed.loc[rows, column] *= rng.normal(1.0, 3.0, size=int(rows.sum())) ** 2
        tables[table] = changed
    return replace(market, bars=bars, **tables)  # type: ignore[arg-type]
