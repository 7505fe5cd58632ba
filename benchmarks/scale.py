"""Growth with the number of simulated symbols: history, features, training table, one fit; time and memory.

For each number of symbols the same steps, each in a process of its own, whose largest memory is its own:

- ``features``: the feature table as a Parquet file (``features.build``), one process;
- ``table``: what training holds in memory: histories, features, labels;
- ``fit``: one fold's model with all that its answers depend on, and the models of its inner blocks.

Bars are hourly. The history is the longer the fewer the symbols (``--bars``, bars of all symbols together
at most), so that the largest number of symbols stays measurable: growth is fitted against the number of bars,
and the exponents, ``seconds ~ bars ** exponent``, are what a larger plan may be reckoned with.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.build import build_features
from features.parallel.symbol_tasks import default_workers
from features.sources import load_histories
from features.sources.simulated import END, START, simulate
from features.store import Store
from training.dataset import build_dataset
from training.excursion import Excursions
from training.parallel.fold_fits import final_rows
from training.pipeline import default_features, default_recipe
from training.walk_forward import concatenated_excursions, fit_without_sets

SYMBOLS = (1, 10, 100)
LEAST_DAYS = 200
"""Shorter histories have too few confirmed labels for a fit."""
DRAWN = 4
"""Paths that are drawn; the other symbols are theirs under other names."""
STEPS = ("features", "table", "fit")


def days_of(symbols: int, bars: int) -> int:
    """Length of each history."""
    whole = (END - START).days
    return max(LEAST_DAYS, min(whole, bars // (24 * symbols)))


def fill(root: Path, symbols: int, days: int) -> None:
    """Write the symbols."""
    since = END - pd.Timedelta(days=days)
    names = [f"SIM{letter}" for letter in "ABCD"][: min(DRAWN, symbols)]
    markets = list(simulate(names, since=since).markets.values())
    store = Store(root)
    with store.writing():
        for number in range(symbols):
            store.write(replace(markets[number % len(markets)], symbol=f"SIM{number:03d}"))


def step(name: str, store: Path) -> dict[str, float]:
    """One step in this process: seconds, bars, and its largest memory in MiB."""
    seconds, bars = 0.0, 0
    if name == "features":
        started = time.perf_counter()
        built = build_features(store=store, out=store.parent / "t.parquet", labels=True, workers=1)
        seconds, bars = time.perf_counter() - started, built.rows
    else:
        started = time.perf_counter()
        dataset = build_dataset(load_histories(None, [], store=store), default_features())
        seconds, bars = time.perf_counter() - started, len(dataset.y)
        if name == "fit":
            outcomes: Excursions = concatenated_excursions(dataset, None)
            train, cut = final_rows(dataset)
            started = time.perf_counter()
            fit_without_sets(dataset, default_recipe(default_features()), outcomes, train, cut)
            seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "bars": bars, "memory_mib": memory}


def exponent(bars: list[float], values: list[float]) -> float:
    """Slope of the values over the bars, both as logarithms."""
    return float(np.polyfit(np.log(bars), np.log(values), 1)[0]) if len(bars) > 1 else float("nan")


def measured(symbols: list[int], bars: int) -> list[dict[str, Any]]:
    """Every step of every number of symbols."""
    found: list[dict[str, Any]] = []
    for number in symbols:
        days = days_of(number, bars)
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            fill(store, number, days)
            for name in STEPS:
                command = [sys.executable, "-m", "benchmarks.scale", "--step", name, "--store", str(store)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append({"symbols": number, "days": days, "step": name, **json.loads(done.stdout)})
                print(_line(found[-1]), flush=True)
    return found


def _line(one: dict[str, Any]) -> str:
    return (
        f"  {one['symbols']:>7} {one['days']:>6} {one['bars']:>10,.0f}  {one['step']:<9}"
        f"{one['seconds']:>9.1f} {1e6 * one['seconds'] / one['bars']:>10.1f} {one['memory_mib']:>9,.0f}"
    )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", default=",".join(map(str, SYMBOLS)), help="numbers of symbols")
    parser.add_argument("--bars", type=int, default=120_000, help="of all symbols together, at most")
    parser.add_argument("--json", type=Path, help="write the figures for programs")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step is not None:
        print(json.dumps(step(arguments.step, arguments.store)))
        return
    print(f"scale (Python {platform.python_version()}, {platform.machine()}, {default_workers()} cores)")
    print("  symbols   days       bars  step       seconds  us a bar       MiB")
    found = measured([int(text) for text in arguments.symbols.split(",")], arguments.bars)
    figures: dict[str, float] = {}
    for name in STEPS:
        mine = [one for one in found if one["step"] == name]
        count = [one["bars"] for one in mine]
        figures[f"{name}_seconds_exponent"] = exponent(count, [one["seconds"] for one in mine])
        figures[f"{name}_memory_bytes_a_bar"] = (
            (mine[-1]["memory_mib"] - mine[0]["memory_mib"]) * 2**20 / (count[-1] - count[0])
            if len(mine) > 1 and count[-1] != count[0]
            else float("nan")
        )
    for key, value in figures.items():
        print(f"  {key:<44} {value:.3g}")
    if arguments.json is not None:
        content = {"benchmark": "scale", "measured": found, **figures}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
