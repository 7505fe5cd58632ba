"""The whole feature table against the same features in plain ``pandas.rolling``: speed and values.

The pandas version (``benchmarks/pandas_oracle_*.py``) is written from the words of the catalogue, by other
hands' means: running sums, ``shift``, ``rolling.corr``, ``rolling.apply`` for ages. It computes once what
several features share, and its ranks are spelled in the fastest way found, grouped by the time of day; what
the ratio is with ranks spelled as ``rolling.apply`` stands beside it.

Left out, because pandas has no words for them: the estimated liquidation map, a walk over open positions,
and the labels' own path, a walk over regimes. Both have loops of their own as oracles among the tests.

One table is timed after the other, each the best of some runs of processor time. The history is real
BTCUSDT where it lies beside the checkout, else 56,000 hours of a simulated market.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.pandas_oracle_crowd import cross_market, positioning, sentiment
from benchmarks.pandas_oracle_derivatives import (
    calendar,
    eight_hour_rate,
    funding,
    funding_cost,
    interest_flows,
    open_interest,
)
from benchmarks.pandas_oracle_market import Market, Series
from benchmarks.pandas_oracle_trend import exhaustion, straightness, trend
from benchmarks.pandas_oracle_volatility import volatility, volume
from benchmarks.results import MARKET, options, report
from features.catalog import CATALOG
from features.context import with_context
from features.declaration import Feature
from features.default_set import default_features
from features.history import History
from features.pipeline import feature_matrix
from features.sources import load_raw
from features.sources.simulated import simulate

__all__ = ["DEFAULT", "EVERYTHING", "LEFT_OUT", "TIED_RANKS", "differing", "oracle_table", "said_in_pandas"]

Part = Callable[[Market], dict[str, Series]]

DEFAULT: tuple[Part, ...] = (trend, funding, open_interest)
"""What the model's default features need."""
EVERYTHING: tuple[Part, ...] = (
    *(trend, straightness, exhaustion, volatility, volume),
    *(funding, funding_cost, calendar, open_interest, interest_flows),
    *(positioning, sentiment, cross_market),
)
LEFT_OUT = {"liquidation_map", "label_path"}
"""Groups that pandas has no words for."""
TIED_RANKS = {"funding_rank_3d_in_90d": (3, 90), "funding_rank_7d_in_60d": (7, 60)}
"""Ranks of means that tie for days, since funding rests at its default: rounding splits the ties, in sums of
either kind. They are compared with the bounds between which a split tie may lie."""
HOURS = 56_000
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}
"""Running sums of pandas have lost that much at the end of a history."""


def said_in_pandas(features: Sequence[Feature]) -> tuple[Feature, ...]:
    """The features that the oracle has."""
    return tuple(feature for feature in features if feature.group not in LEFT_OUT)


def oracle_table(
    history: History, parts: Sequence[Part] = EVERYTHING, *, ranks_by_apply: bool = False
) -> pd.DataFrame:
    """Features of each bar as plain pandas has them, float32; index ``time``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # roots and logs of what is missing
        market = Market(history, ranks_by_apply=ranks_by_apply)
        columns: dict[str, Series] = {}
        for part in parts:
            columns |= part(market)
        return pd.DataFrame(columns).astype(np.float32)


def differing(
    history: History, matrix: npt.NDArray[np.float32], features: Sequence[Feature], oracle: pd.DataFrame
) -> Mapping[str, int]:
    """How many rows of each feature differ from the oracle's by more than single precision allows.

    From the bar on that has the feature's whole look-back: before it pandas, which asks for a share of
    a window's bars, answers from shorter windows.
    """
    rate = eight_hour_rate(Market(history))
    found = {}
    for column, feature in enumerate(features):
        begin = feature.lookback(history.per_day) - 1
        mine = matrix[begin:, column].astype(np.float64)
        lowest = highest = oracle[feature.name]
        if feature.name in TIED_RANKS:
            days, over = TIED_RANKS[feature.name]
            market = Market(history)
            lowest, highest = market.rank_bounds(market.mean(rate, days).round(12), over)
        low, high = (one.to_numpy(np.float64)[begin:] for one in (lowest, highest))
        low, high = (np.where(np.isinf(one), np.nan, one) for one in (low, high))
        slack = FLOAT32["atol"] + FLOAT32["rtol"] * np.abs(mine)
        outside = (mine < low - slack) | (mine > high + slack) | (np.isnan(mine) != np.isnan(low))
        if outside.any():
            found[feature.name] = int(outside.sum())
    return found


def long_history() -> History:
    """Real BTCUSDT with the closes of its neighbours, or a simulated market."""
    if MARKET.is_dir():
        raw = load_raw("files", [], path=Path(MARKET))
        histories = with_context([History.from_raw(market) for market in raw])
        (found,) = [history for history in histories if history.symbol == "BTCUSDT"]
        return found
    since = pd.Timestamp("2018-01-01", tz="UTC")
    simulation = simulate(["SIMBTC", "SIMETH"], since=since, until=since + pd.Timedelta(hours=HOURS))
    return with_context([History.from_raw(market) for market in simulation.markets.values()])[0]


def seconds(work: Callable[[], object], runs: int) -> float:
    """Least processor time of some runs."""
    best = float("inf")
    for _ in range(runs):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    history = long_history()
    every, default = said_in_pandas(CATALOG), said_in_pandas(default_features())
    oracle = oracle_table(history)
    wrong = differing(history, feature_matrix(history, every), every, oracle)
    figures: dict[str, object] = {
        "history": f"{history.symbol} ({history.source})",
        "bars": len(history),
        "features_left_out": len(CATALOG) - len(every),
        "features_that_differ": ", ".join(sorted(wrong)) or "none",
    }
    for name, features, parts in (("default", default, DEFAULT), ("all", every, EVERYTHING)):
        ours = seconds(partial(feature_matrix, history, features), 7)
        pandas = seconds(partial(oracle_table, history, parts), 3)
        applied = seconds(partial(oracle_table, history, parts, ranks_by_apply=True), 1)
        figures |= {
            f"{name}_features": len(features),
            f"{name}_seconds": ours,
            f"{name}_pandas_seconds": pandas,
            f"{name}_pandas_over_ours": pandas / ours,
            f"{name}_pandas_with_ranks_by_apply_over_ours": applied / ours,
        }
    report("pandas_oracle", figures, arguments.json)


if __name__ == "__main__":
    main()
