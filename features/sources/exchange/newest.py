"""From where on a venue is asked, so that only what the store lacks is fetched."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from features.raw import interval_delta
from features.store import SymbolState

__all__ = ["newest_held"]

_DEFAULT_DAYS = 400
"""Without a beginning and with an empty store: enough for the longest look-back."""
_MOMENT = pd.Timedelta(milliseconds=1)


def newest_held(
    state: SymbolState | None, interval: str, since: pd.Timestamp | None, end: pd.Timestamp
) -> Mapping[str, pd.Timestamp | None]:
    """Newest time held, by kind: what :meth:`Exchange.fetch` takes as ``since``.

    Parameters
    ----------
    state : SymbolState or None
        What the store holds.
    interval : str
        Of the bars.
    since : pandas.Timestamp or None
        On bar closes, included: everything from there on is asked for again.
    end : pandas.Timestamp
        The moment of the question.
    """
    kinds = {name: name for name in ("funding", "open_interest", "positioning", "taker_volume")}
    kinds["bars"] = f"bars_{interval}"
    first = since if since is not None else end - pd.Timedelta(days=_DEFAULT_DAYS)
    after: dict[str, pd.Timestamp | None] = {}
    for name, kind in kinds.items():
        held = None if state is None or since is not None else state.kinds.get(kind)
        start = first - _MOMENT - (interval_delta(interval) if name == "bars" else pd.Timedelta(0))
        if held is not None:
            after[name] = held.last
        else:  # without a beginning: as far back as the venue keeps it
            after[name] = start if since is not None or name == "bars" else None
    return after
