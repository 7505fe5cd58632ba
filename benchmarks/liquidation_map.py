"""The estimated liquidation map: how fast it is, and whether it says anything.

Times are of the 14 features alone, with the volatility that other features share already there.
``--html FILE`` writes a heatmap of a year of the simulated market.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.liquidation_checks import (
    SIDES,
    day_ends,
    liquidation_totals,
    partial_rank_correlation,
    rank_correlation,
    real_markets,
    shuffled,
    true_figures,
    without_open_interest,
)
from benchmarks.results import MARKET, report
from features.bars import Bars, FloatArray
from features.families.liquidation_map import liquidation_features, liquidation_heatmap
from features.families.liquidation_model import DEFAULT_MODEL, LiquidationModel
from features.history import History
from features.sources.simulated import SIMULATED_SYMBOLS, simulate
from features.sources.simulated_positions import true_positions

BARS, WINDOW_BARS, ROWS = 56_000, 2_929, 49
BLOCK_DAYS, DRAWS = 20, 500
VARIATIONS: dict[str, dict[str, Any]] = {
    "no_turnover": {"daily_turnover": 0.0},
    "turnover_20": {"daily_turnover": 0.20},
    "memory_90": {"memory_days": 90},
    "entries_once_a_day": {"slice_hours": 24},
}
"""Other assumptions, to see how much hangs on them; the defaults were fixed before these were run."""


def milliseconds(history: History, last: int | None, runs: int) -> float:
    """Best of some runs, the shared volatility not counted."""
    best = float("inf")
    for _ in range(runs):
        bars = Bars(history, last=last)
        bars.sigma  # noqa: B018 - computed once and kept
        for name in ("high", "low", "close", "volume", "open_interest"):
            bars.column(name)
        started = time.perf_counter()
        for feature in liquidation_features():
            feature.compute(bars)
        best = min(best, (time.perf_counter() - started) * 1e3)
    return best


Truth = list[tuple[History, pd.DataFrame]]


def against_truth(figures: dict[str, Any]) -> Truth:
    """Rank correlation with the simulator's true positions, 2021 and 2022; the histories and truths."""
    seen: Truth = []
    markets = simulate(SIMULATED_SYMBOLS, until=pd.Timestamp("2023-01-01", tz="UTC")).markets
    for symbol, market in markets.items():
        history = History.from_raw(market)
        estimate = day_ends(history)
        truth = true_positions(market)
        true = true_figures(truth, estimate["sigma"].reindex(truth.days).to_numpy(np.float64))
        true = true.reindex(estimate.index)
        seen.append((history, true))
        versions = {
            "map": estimate,
            "no_interest": day_ends(without_open_interest(history)),
            "shuffled": shuffled(estimate, 1),
        }
        for name in SIDES:
            for version, table in versions.items():
                for what in ("distance", "weight", "near_2", "near_5", "swept"):
                    key = f"truth {symbol} {name}_{what} {version}"
                    figures[key] = rank_correlation(table[f"{name}_{what}"], true[f"{name}_{what}"])
                figures[f"truth {symbol} {name}_swept beyond range {version}"] = partial_rank_correlation(
                    table[f"{name}_swept"], true[f"{name}_swept"], [estimate[f"{name}_range"]]
                )
            figures[f"truth {symbol} {name}_swept by the range alone"] = rank_correlation(
                estimate[f"{name}_range"], true[f"{name}_swept"]
            )
    return seen


def real_figures(table: pd.DataFrame, totals: pd.DataFrame, name: str) -> pd.DataFrame:
    """One side's swept money, its baselines and the real total, by day."""
    money = table["open_interest"]
    return pd.DataFrame(
        {
            "swept": table[f"{name}_swept"] * money,
            "range": table[f"{name}_range"] * money,
            "return": table[f"{name}_return"] * money,
            "real": totals[name].reindex(table.index),
        }
    ).dropna()


def beyond_baselines(days: pd.DataFrame) -> float:
    """Partial rank correlation of swept money with real liquidations, given range and return."""
    return partial_rank_correlation(days["swept"], days["real"], [days["range"], days["return"]])


def interval(days: pd.DataFrame, seed: int) -> FloatArray:
    """95 % interval of :func:`beyond_baselines` by a block bootstrap over days."""
    rng = np.random.default_rng(seed)
    blocks = -(-len(days) // BLOCK_DAYS)
    draws = []
    for _ in range(DRAWS):
        starts = rng.integers(0, len(days) - BLOCK_DAYS, blocks)
        rows = (starts[:, None] + np.arange(BLOCK_DAYS)).ravel()[: len(days)]
        draws.append(beyond_baselines(days.iloc[rows]))
    return np.quantile(draws, [0.025, 0.975])


def against_real_totals(figures: dict[str, Any], folder: Path) -> None:
    """Rank correlation with real daily liquidation totals, and what is left of it given the baselines."""
    for market in real_markets(folder):
        history, totals = History.from_raw(market), liquidation_totals(market)
        table = day_ends(history)
        price_alone = day_ends(without_open_interest(history)).assign(open_interest=table["open_interest"])
        for name in SIDES:
            days, key = real_figures(table, totals, name), f"real {market.symbol} {name}"
            figures[f"{key} days"] = len(days)
            for what in ("swept", "range", "return"):
                figures[f"{key} {what}"] = rank_correlation(days[what], days["real"])
            figures[f"{key} swept beyond both"] = beyond_baselines(days)
            low, high = interval(days, 1)
            figures[f"{key} swept beyond both, 95 %"] = f"{low:+.3f} to {high:+.3f}"
            other = real_figures(price_alone, totals, name)
            figures[f"{key} swept beyond both, no interest"] = beyond_baselines(other)


def variations(figures: dict[str, Any], truths: Truth, folder: Path) -> None:
    """The main figures under other assumptions, on average over symbols and sides."""
    models: dict[str, LiquidationModel] = {"default": DEFAULT_MODEL}
    models |= {name: replace(DEFAULT_MODEL, **changes) for name, changes in VARIATIONS.items()}
    real = [(History.from_raw(market), liquidation_totals(market)) for market in real_markets(folder)]
    for label, model in models.items():
        found: dict[str, list[float]] = {"truth distance": [], "truth swept beyond range": []}
        for history, true in truths:
            table = day_ends(history, model)
            for name in SIDES:
                distance, swept = f"{name}_distance", f"{name}_swept"
                found["truth distance"].append(rank_correlation(table[distance], true[distance]))
                found["truth swept beyond range"].append(
                    partial_rank_correlation(table[swept], true[swept], [table[f"{name}_range"]])
                )
        for history, totals in real:
            table = day_ends(history, model)
            for name in SIDES:
                days = real_figures(table, totals, name)
                found.setdefault("real swept", []).append(rank_correlation(days["swept"], days["real"]))
                found.setdefault("real swept beyond both", []).append(beyond_baselines(days))
        figures |= {f"mean {what}, {label}": float(np.mean(values)) for what, values in found.items()}


def write_heatmap(history: History, file: Path) -> None:
    """Draw a picture of the map over time with price on it."""
    import plotly.graph_objects as go  # noqa: PLC0415 - heavy, and wanted here alone

    table = liquidation_heatmap(history)
    stamps = table.index.strftime("%Y-%m-%d").tolist()  # type: ignore[attr-defined]
    figure = go.Figure(
        go.Heatmap(x=stamps, y=table.columns.to_numpy(), z=table.to_numpy().T, colorscale="Viridis", zmin=0)
    )
    close = history.frame["close"].reindex(table.index).to_numpy()
    figure.add_scatter(x=stamps, y=close, mode="lines", line={"color": "white", "width": 1}, name="close")
    figure.update_yaxes(type="log", title="price")
    figure.update_layout(title=f"{history.symbol}: estimated liquidations (share)", height=640)
    figure.write_html(file, include_plotlyjs=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures for programs")
    parser.add_argument("--html", type=Path, help="write a heatmap of the simulated market")
    arguments = parser.parse_args()
    since = pd.Timestamp("2018-01-01", tz="UTC")
    simulation = simulate(["SIMBTC"], since=since, until=since + pd.Timedelta(hours=BARS))
    history = History.from_raw(simulation.markets["SIMBTC"])
    figures: dict[str, Any] = {
        "bars": len(history),
        "features": len(liquidation_features()),
        "whole_history_ms": milliseconds(history, None, 3),
        "request_window_ms": milliseconds(history.window(len(history) - 1, WINDOW_BARS), ROWS, 40),
    }
    truths = against_truth(figures)
    if MARKET.is_dir():
        against_real_totals(figures, MARKET)
        variations(figures, truths, MARKET)
    else:
        figures["real totals"] = f"left out: {MARKET.name} is not beside the checkout"
    if arguments.html is not None:
        write_heatmap(history.window(len(history) - 1, 430 * history.per_day), arguments.html)
    report("liquidation_map", figures, arguments.json)


if __name__ == "__main__":
    main()
