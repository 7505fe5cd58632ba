"""The data of a retraining: brought up to date, and nothing silently stale.

Where a symbol's update fails, the run goes on as long as its newest bar is at most three days old:
labels take three weeks to be confirmed, so such a symbol lacks nothing that could be learned from yet.
An older one stops the run. What was late is named on the terminal and in the journal either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from features.errors import BearmodeError, DataError, LockedError, NothingUsableError, UsageError
from features.history import History
from features.raw import interval_delta
from features.sources import load_histories, parse_date
from features.store import Store
from training.retraining.request import Request
from training.settings import Places

__all__ = ["LATE_DAYS", "MarketData", "bring_up_to_date", "load_market"]

LATE_DAYS = 3.0
"""Age of the newest bar up to which a symbol is good enough to learn from."""


@dataclass(frozen=True)
class MarketData:
    """Histories, and which of them end early.

    Attributes
    ----------
    histories : list of History
    until : str
        The next bar close after the newest one: the same span again, whatever comes later.
    late : dict of str to float
        Days from a symbol's newest bar to now (or to ``--until``), where they are more than allowed.
    """

    histories: list[History]
    until: str
    late: dict[str, float] = field(default_factory=dict)


def bring_up_to_date(request: Request, places: Places, say: Callable[[str], None]) -> dict[str, Any]:
    """Update the store; gives what failed, by the message.

    Raises
    ------
    BearmodeError
        If the store is locked, holds nothing, or the request makes no sense. Symbols that could not be
        reached do not raise: how old they are decides (:func:`load_market`).
    """
    from training.data.update import update  # noqa: PLC0415 - its sources are not needed otherwise

    try:
        update(",".join(request.symbols), places, until=request.until)
    except (LockedError, NothingUsableError, UsageError):
        raise
    except BearmodeError as error:
        say(f"the update failed in part: {error.message}")
        return {"update": error.message}
    return {}


def load_market(request: Request, places: Places, *, until: str | None, updated: bool) -> MarketData:
    """Load the histories, and say which end early.

    Parameters
    ----------
    request : Request
    places : Places
    until : str or None
        End of the span (excluded), in place of the request's.
    updated : bool
        Whether the store was just brought up to date: then a symbol that is late, though its venue can
        be asked, stops the run.

    Raises
    ------
    DataError
        ``stale_data``: with the symbols and their ages.
    """
    end = parse_date(until or request.until, "until")
    histories = load_histories(
        request.source,
        list(request.symbols),
        path=request.path,
        store=places.store,
        interval=request.interval,
        since=parse_date(request.since, "since"),
        until=end,
    )
    if not histories:
        raise NothingUsableError("there is no history to learn from")
    last = max(history.time[-1] for history in histories)
    following = (last + interval_delta(request.interval)).isoformat()
    if not request.from_store:
        return MarketData(histories, following)
    asked = parse_date(request.until, "until")
    clock = pd.Timestamp.now(tz="UTC")
    now = clock if asked is None else min(asked, clock)
    ages = {one.symbol: (now - one.time[-1]) / pd.Timedelta(days=1) for one in histories}
    late = {name: round(age, 2) for name, age in ages.items() if age > LATE_DAYS}
    if updated:
        refused = {name: age for name, age in late.items() if _can_be_updated(places, name)}
        if refused:
            words = ", ".join(f"{name} {age:.1f} days" for name, age in refused.items())
            raise DataError(
                f"after the update the newest bar is too old: {words} (at most {LATE_DAYS:.0f} are allowed)",
                code="stale_data",
                hint="mend the update, leave the symbols out with --symbols, "
                "or learn from what is there with --no-update",
            )
    return MarketData(histories, following, late)


def _can_be_updated(places: Places, symbol: str) -> bool:
    from features.sources.exchange import EXCHANGES  # noqa: PLC0415

    state = Store(places.store).state(symbol)
    return state is not None and state.source in {venue.name for venue in EXCHANGES.values()}
