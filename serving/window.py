"""A history as the request that asks about its last bar."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History

__all__ = ["window_request"]


def window_request(history: History, *, as_of: pd.Timestamp | None = None) -> dict[str, Any]:
    """Body of ``POST /v1/predict`` for a window, ready for JSON.

    Parameters
    ----------
    history : History
        Exactly the window to send.
    as_of : pandas.Timestamp, optional
        The last bar's close by default.

    Returns
    -------
    dict
        Columns that are empty are left out, missing values are ``None``. The context is that of the
        history, without bars that are missing and without this symbol's own.
    """
    columns = {}
    for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
        values = history.column(name).tolist()
        if any(not math.isnan(value) for value in values):
            columns[name] = [None if math.isnan(value) else value for value in values]
    stamps = history.time.as_unit("ms").asi8
    context = {}
    for name, closes in history.context.items():
        there = np.isfinite(closes)
        if name != history.symbol and there.any():
            context[name] = {"time": stamps[there].tolist(), "close": closes[there].tolist()}
    moment = history.time[-1] if as_of is None else as_of
    return {
        "symbol": history.symbol,
        "interval": history.interval,
        "as_of": int(moment.value // 1_000_000) if moment.unit == "ns" else int(moment.timestamp() * 1000),
        "time": stamps.tolist(),
        **columns,
        **({"context": context} if context else {}),
    }
