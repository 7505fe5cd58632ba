"""Funding settlements of any file source: stamps without jitter, each with its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.raw import LedgerEntry

__all__ = ["settlements"]

_SNAP_HOURS = np.array([1.0, 2.0, 4.0, 8.0])


def settlements(funding: pd.DataFrame, symbol: str, ledger: list[LedgerEntry]) -> pd.DataFrame:
    """Round jittered stamps to the minute; give each settlement its interval in hours.

    Parameters
    ----------
    funding : pandas.DataFrame
        ``time, funding_rate`` and, where the file says it, ``funding_interval_hours``; a missing
        interval is the hours since the settlement before, snapped to 1, 2, 4 or 8 (8 for the
        first).
    symbol : str
        For the ledger.
    ledger : list of LedgerEntry
        ``double_rows`` and ``snapped_interval`` are added to it.
    """
    if funding.empty:
        return funding.assign(funding_interval_hours=np.empty(0))
    table = funding.sort_values("time", kind="stable").copy()
    table["time"] = table["time"].dt.round("min")
    doubled = table["time"].duplicated(keep="last").to_numpy()
    if doubled.any():
        ledger.append(
            LedgerEntry("double_rows", "funding", count=int(doubled.sum()), detail="the last one is kept")
        )
        table = table.loc[~doubled]
    stamps = pd.DatetimeIndex(table["time"]).as_unit("ms").asi8
    since_last = np.diff(stamps, prepend=stamps[0] - 8 * 3_600_000) / 3_600_000
    snapped = _SNAP_HOURS[np.abs(since_last[:, None] - _SNAP_HOURS).argmin(axis=1)]
    given = table.get("funding_interval_hours", pd.Series(np.nan, index=table.index))
    table["funding_interval_hours"] = given.where(given.notna(), pd.Series(snapped, index=table.index))
    odd = int(((since_last != snapped) & given.isna().to_numpy()).sum())
    if odd:
        ledger.append(
            LedgerEntry(
                "snapped_interval", "funding", count=odd, detail=f"{symbol}: gaps snapped to 1, 2, 4 or 8 h"
            )
        )
    return table.reset_index(drop=True)
