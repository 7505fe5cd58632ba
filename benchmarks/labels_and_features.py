"""56,000 hourly bars of one symbol: hindsight regimes, and the feature table against plain pandas.

The ratio is taken in one run, over the features that a rolling mean or extreme makes up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.results import options, report
from features.bars import Bars
from features.catalog import CATALOG
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import hindsight_regimes
from features.sources.simulated import simulate

BARS = 56_000
MEAN_DAYS = (2, 5, 10, 20, 50, 100, 120)


def seconds(work: Callable[[], object], runs: int = 3) -> float:
    """Best of a few runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    since = pd.Timestamp("2018-01-01", tz="UTC")
    simulation = simulate(["SIMBTC"], since=since, until=since + pd.Timedelta(hours=BARS))
    history = History.from_raw(simulation.markets["SIMBTC"])
    close = pd.Series(np.log(history.column("close")))

    def ours() -> None:
        bars = Bars(history)
        for days in MEAN_DAYS:
            bars.mean("log_close", bars.log_close, days)

    def pandas_way() -> None:
        for days in MEAN_DAYS:
            close.rolling(days * 24).mean()

    figures = {
        "bars": len(history),
        "hindsight_regimes_seconds": seconds(lambda: hindsight_regimes(history)),
        "features": len(CATALOG),
        "feature_table_seconds": seconds(lambda: feature_matrix(history)),
        "seven_rolling_means_over_pandas": seconds(ours) / seconds(pandas_way),
    }
    report("labels_and_features", figures, arguments.json)


if __name__ == "__main__":
    main()
