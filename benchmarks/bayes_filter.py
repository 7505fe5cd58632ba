"""How much of what can be known the model learns: the simulated market, its true states as labels.

The filter that knows the simulator's parameters (:func:`features.sources.simulated_density.bayes_filter`) is
the best possible answer to the simulated market. The model - logistic base, boosted trees, temperature -
learns from OTHER draws of the same market, as many as are asked for, and answers one that it has never seen.
The share of the filter's log-loss skill against climatology that it reaches is printed for growing numbers
of draws: what is missing with few draws is data, what is missing with many is the model's or its features'.

The last line is the harder case: the walk along one four-year draw, which holds some fifty spells that all
its symbols share.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.results import report
from features.bars import FloatArray
from features.catalog import CATALOG, select
from features.context import with_context
from features.history import History
from features.json_file import check_target
from features.pipeline import feature_matrix
from features.regimes import REGIMES
from features.sources.simulated import SIMULATED_SYMBOLS, simulate
from features.sources.simulated_density import bayes_filter
from training.calibration import fit_temperature
from training.models.boosted_logistic import BoostedLogistic, BoostingSettings, softmax

TEST_SEED = 7
GROUPS = ("trend", "volatility", "funding", "open_interest", "cross_market")
"""The hindsight labels' own path says nothing of states that are none of those labels."""
NAMES = tuple(feature.name for feature in CATALOG if feature.group in GROUPS)
ROW_HOURS = 6
LONGEST_DAYS = 120


@dataclass(frozen=True)
class Draw:
    """The sampled bars of one simulated market, from where every feature has its past."""

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int8]
    time: pd.DatetimeIndex
    spell: npt.NDArray[np.int64]
    filtered: FloatArray


def drawn(seed: int) -> Draw:
    """Simulate a market, its features, its states, and what the filter says of them."""
    simulation = simulate(SIMULATED_SYMBOLS, seed=seed)
    leader = simulation.markets[SIMULATED_SYMBOLS[0]]
    features = select(NAMES)
    parts: dict[str, list[Any]] = {name: [] for name in ("X", "y", "time", "spell", "filtered")}
    for history in with_context([History.from_raw(market) for market in simulation.markets.values()]):
        market, truth = simulation.markets[history.symbol], simulation.states[history.symbol]
        other = None if market is leader else leader
        kept = np.asarray(history.time.hour % ROW_HOURS == 0)
        kept[: LONGEST_DAYS * history.per_day] = False
        state = truth["state"].to_numpy(np.int8)
        parts["X"].append(feature_matrix(history, features)[kept])
        parts["y"].append(state[kept])
        parts["time"].append(history.time[kept].to_series())
        # the symbols share their spells: one market's spell is one event, whoever lives through it
        parts["spell"].append((np.cumsum(np.diff(state, prepend=state[0]) != 0) + 100_000 * seed)[kept])
        parts["filtered"].append(bayes_filter(simulation.parameters, market, other)[kept])
    return Draw(
        np.concatenate(parts["X"]),
        np.concatenate(parts["y"]),
        pd.DatetimeIndex(pd.concat(parts["time"])),
        np.concatenate(parts["spell"]),
        np.concatenate(parts["filtered"]),
    )


def fitted(draws: Sequence[Draw], settings: BoostingSettings) -> BoostedLogistic:
    """The model of some draws, each row the same weight."""
    X, y = np.concatenate([one.X for one in draws]), np.concatenate([one.y for one in draws])
    return BoostedLogistic(settings).fit(X, y, np.ones(len(y)))


def model_of(draws: Sequence[Draw], settings: BoostingSettings) -> tuple[BoostedLogistic, float]:
    """The model of all draws, and the temperature from draws left out in turn (1 with a single draw)."""
    if len(draws) == 1:
        return fitted(draws, settings), 1.0
    halves = (draws[::2], draws[1::2])
    odds, y, spells = [], [], 0
    for learned, held in (halves, halves[::-1]):
        model = fitted(learned, settings)
        for one in held:
            odds.append(model.log_odds(one.X))
            y.append(one.y)
            spells += len(np.unique(one.spell))
    return fitted(draws, settings), fit_temperature(np.concatenate(odds), np.concatenate(y), spells)


def log_loss(p: FloatArray, y: npt.NDArray[np.int8]) -> float:
    """Mean log loss in nats."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1.0)).mean())


def share(
    y: npt.NDArray[np.int8], before: npt.NDArray[np.int8], p: FloatArray, filtered: FloatArray
) -> dict[str, float]:
    """Log losses, and the share of the filter's skill against the shares of the training rows."""
    shares = (np.bincount(before, minlength=len(REGIMES)) + 0.5) / (len(before) + 2)
    climate, best, found = log_loss(np.tile(shares, (len(y), 1)), y), log_loss(filtered, y), log_loss(p, y)
    return {
        "climatology": climate,
        "filter": best,
        "model": found,
        "share": (climate - found) / (climate - best),
    }


def walk(one: Draw, settings: BoostingSettings) -> dict[str, float]:
    """The share along the half-years of a single draw, each learned from what lies before."""
    parts = []
    starts = pd.date_range("2022-01-01", "2024-07-01", freq="6MS", tz="UTC")
    for start in starts:
        before = np.asarray(one.time < start - pd.Timedelta(days=5))
        test = np.asarray((one.time >= start) & (one.time < start + pd.DateOffset(months=6)))
        model = BoostedLogistic(settings).fit(one.X[before], one.y[before], np.ones(int(before.sum())))
        found = share(one.y[test], one.y[before], softmax(model.log_odds(one.X[test])), one.filtered[test])
        parts.append({**found, "rows": float(test.sum())})
    rows = sum(part["rows"] for part in parts)
    total = {
        name: sum(part[name] * part["rows"] for part in parts) / rows
        for name in ("climatology", "filter", "model")
    }
    return {
        **total,
        "share": (total["climatology"] - total["model"]) / (total["climatology"] - total["filter"]),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=8, help="training draws of four years and three symbols")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    check_target(arguments.json, "json")
    started = time.monotonic()
    seeds = [TEST_SEED, *(101 + index for index in range(arguments.draws))]
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        test, *others = pool.map(drawn, seeds)
    print(f"{len(seeds)} draws in {time.monotonic() - started:.0f} s", flush=True)
    settings = BoostingSettings(
        base_columns=tuple(range(len(NAMES))), C=0.003, rounds=150, leaves=15, threads=os.cpu_count() or 1
    )
    figures: dict[str, Any] = {
        "features": len(NAMES),
        "rows": len(test.y),
        "spells": len(np.unique(test.spell)),
    }
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count < arguments.draws] + [arguments.draws]
    with threadpool_limits(1, user_api="blas"):
        for count in counts:
            model, temperature = model_of(others[:count], settings)
            before = np.concatenate([one.y for one in others[:count]])
            for name, odds in (("", model.log_odds(test.X)), ("_base_alone", model.base_log_odds(test.X))):
                found = share(test.y, before, softmax(odds / temperature), test.filtered)
                figures |= {f"{key}{name}_after_{count}_draws": value for key, value in found.items()}
                print(count, name, temperature, found, flush=True)
        figures |= {f"{name}_walk_of_one_draw": value for name, value in walk(test, settings).items()}
    report("bayes_filter", figures, arguments.json)


if __name__ == "__main__":
    main()
