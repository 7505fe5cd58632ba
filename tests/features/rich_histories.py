"""A synthetic market that has every column a feature may read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from histories import FloatArray, bar_table, raw_market

from features.bar_rules import POSITIONING_COLUMNS, PRICE_COLUMNS, SERIES_COLUMNS
from features.context import Closes, with_context
from features.history import History
from features.raw import RawMarket, Series, interval_delta

__all__ = [
    "COLUMNS",
    "CONTEXT_COLUMNS",
    "changed",
    "column_of",
    "context_closes",
    "random_history",
    "rich_history",
    "rich_market",
]

COLUMNS = (
    *(*PRICE_COLUMNS, "volume", "funding_rate", "funding_interval_hours", "open_interest"),
    *(*POSITIONING_COLUMNS, "fear_greed", *SERIES_COLUMNS),
)
"""Every column of a full history."""
OTHERS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
"""Symbols that stand beside ``TESTUSDT``."""
CONTEXT_COLUMNS = tuple(f"context.{name}" for name in OTHERS)
"""Their closes, as :func:`column_of` and :func:`changed` name them."""


def rich_market(n: int, interval: str = "1h", *, seed: int = 1, start: str = "2022-01-03") -> RawMarket:
    """:func:`histories.raw_market` with all of positioning, optional series and a changed interval."""
    raw = raw_market(n, interval, seed=seed, start=start)
    rng = np.random.default_rng(seed + 2000)
    assert raw.funding is not None
    assert raw.open_interest is not None
    hours = raw.funding["funding_interval_hours"].to_numpy().copy()
    hours[2 * len(hours) // 5 : 3 * len(hours) // 5] = 4.0
    hours[-len(hours) // 10 :] = 4.0
    days = raw.open_interest["time"]
    positioning = pd.DataFrame({"time": days})
    for name in POSITIONING_COLUMNS:
        scale = 14.0 if name.endswith("_usd") else 0.0
        positioning[name] = rng.lognormal(scale, 0.3, len(days))
    return replace(
        raw,
        funding=raw.funding.assign(funding_interval_hours=hours),
        positioning=positioning,
        extras={
            "put_call": Series(pd.DataFrame({"time": days, "value": rng.lognormal(-0.4, 0.2, len(days))})),
            "exchange_inflow": Series(pd.DataFrame({"time": days, "value": rng.normal(0, 500, len(days))})),
        },
    )


def rich_history(
    n: int,
    interval: str = "1h",
    *,
    seed: int = 1,
    missing: tuple[int, ...] = (),
    start: str = "2022-01-03",
) -> History:
    """The joined history of :func:`rich_market`, without the bars of the rows ``missing``, with context."""
    raw = rich_market(n, interval, seed=seed, start=start)
    made = History.from_raw(replace(raw, bars=raw.bars.drop(index=list(missing)).reset_index(drop=True)))
    closes = {
        name: context_closes(n, interval, seed=10 * seed + place, start=start)
        for place, name in enumerate(OTHERS)
    }
    return with_context([made], (*OTHERS, made.symbol), closes)[0]


def context_closes(n: int, interval: str, *, seed: int, start: str = "2022-01-03") -> Closes:
    """Closes of another symbol, two of them missing where there are many."""
    bars = bar_table(n, interval, seed=seed + 500, start=start)
    bars = bars.drop(index=[n // 4, n - n // 8]) if n > 40 else bars
    time = pd.DatetimeIndex(bars["open_time"]) + interval_delta(interval)
    return Closes(time.as_unit("ms").asi8, bars["close"].to_numpy(np.float64))


def column_of(made: History, name: str) -> FloatArray:
    """A column of the history or, by ``context.SYMBOL``, of its context."""
    symbol = name.removeprefix("context.")
    return made.column(name) if symbol == name else np.asarray(made.context[symbol])


def changed(made: History, rows: slice, columns: dict[str, FloatArray]) -> History:
    """The same history with other values in some rows; no rule of the data is checked."""
    frame, context = made.frame.copy(), dict(made.context)
    for name, values in columns.items():
        whole = column_of(made, name).copy()
        whole[rows] = values
        if name in frame:
            frame[name] = whole
        else:
            context[name.removeprefix("context.")] = whole
    return replace(made, frame=frame, context=context)


def random_history(seed: int, n: int, gaps: list[int], lost: list[str], calm: int) -> History:
    """A daily history with holes of every kind.

    Parameters
    ----------
    seed : int
    n : int
        Bars.
    gaps : list of int
        Rows without a bar.
    lost : list of str
        Columns, also of the context, that are missing over the second half.
    calm : int
        So many of the last bars do not move and are not traded.
    """
    made = rich_history(n, "1d", seed=seed)
    made = changed(made, slice(n // 2, n), {name: np.full(n - n // 2, np.nan) for name in lost})
    frame = made.frame.copy()
    if calm:
        still = frame.index[-calm:]
        frame.loc[still, list(PRICE_COLUMNS)] = float(frame["close"].iloc[-calm])
        frame.loc[still, "volume"] = 0.0
    frame.iloc[[row for row in gaps if row < n]] = np.nan
    return replace(made, frame=frame)
