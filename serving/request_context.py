"""The context of a request: closes of the symbols that a model looks across, joined to its window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from features.context import Closes, check_closes, with_context
from features.history import History
from serving.schemas import Context

__all__ = ["NOT_USED", "join_context"]

NOT_USED = "context_not_used"
_NAMED = 20
"""So many symbols that nobody reads are named."""


def join_context(
    window: History, context: Mapping[str, Context] | None, universe: Sequence[str]
) -> tuple[History, list[str]]:
    """The window with the closes that the model reads.

    Parameters
    ----------
    window : History
    context : mapping of str to Context, optional
        As the request sends it. The window's own symbol is read from the window; what the model does
        not read is not looked at.
    universe : sequence of str
        ``context_symbols`` of the manifest.

    Returns
    -------
    window : History
        A symbol that was not sent is NaN throughout.
    unused : list of str
        For ``degraded``: :data:`NOT_USED` if symbols were sent that the model does not read, then each
        by name, if it reads any at all.

    Raises
    ------
    WindowError
        For closes that break a rule, or are later than the window's last bar.
    """
    given = context or {}
    extra = sorted(set(given) - set(universe) - ({window.symbol} if universe else set()))
    unused = [NOT_USED, *(f"{NOT_USED}:{name}" for name in extra[:_NAMED] if universe)] if extra else []
    if not universe:
        return window, unused
    closes = {}
    for name in universe:
        if name in given and name != window.symbol:
            one = Closes(np.array(given[name].time, np.int64), np.array(given[name].close, np.float64))
            check_closes(one, window.interval, window.time[-1], f"context.{name}")
            closes[name] = one
    (joined,) = with_context([window], universe, closes)
    return joined, unused
