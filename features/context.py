"""The closes of other symbols beside a history: what features that look across markets are made from.

The symbols are a fixed universe, chosen when a model is made, so that a share of symbols means the
same in a request as it meant in training. A symbol that is not there is NaN throughout; nothing is
filled from elsewhere. All values of row ``t`` are closes of bars that close when bar ``t`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.declaration import Feature
from features.errors import UsageError, WindowError
from features.history import History
from features.raw import interval_delta

__all__ = [
    "CONTEXT",
    "LEADERS",
    "MAX_SYMBOLS",
    "MIN_SYMBOLS",
    "Closes",
    "check_closes",
    "choose_universe",
    "closes_of",
    "in_universe",
    "leader_of",
    "needs_context",
    "with_context",
]

CONTEXT = "context"
"""What a feature that reads other symbols' closes names among its inputs."""
LEADERS = ("BTCUSDT", "SIMBTC")
"""The symbol that the others follow; the first of these that the universe holds."""
MIN_SYMBOLS = 2
"""Below it there is no market to look across: no context at all."""
MAX_SYMBOLS = 20
"""A request has to carry every symbol's closes: at 70 kB each this fits its 4 MB with room to spare."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Closes:
    """Closes of one symbol, not on a full grid.

    Attributes
    ----------
    time : ndarray of int64, shape (n,)
        Each bar's CLOSE, milliseconds since the epoch, increasing.
    close : ndarray of float64, shape (n,)
        NaN where missing.
    """

    time: npt.NDArray[np.int64]
    close: FloatArray


def needs_context(features: Iterable[Feature]) -> bool:
    """Whether any of the features reads other symbols' closes."""
    return any(CONTEXT in feature.inputs for feature in features)


def leader_of(universe: Iterable[str]) -> str | None:
    """The symbol that the others follow; ``None`` where the universe has none.

    Examples
    --------
    >>> leader_of(("BTCUSDT", "ETHUSDT")), leader_of(("ETHUSDT", "SOLUSDT"))
    ('BTCUSDT', None)
    """
    there = set(universe)
    return next((name for name in LEADERS if name in there), None)


def choose_universe(first_bar: Mapping[str, pd.Timestamp]) -> tuple[str, ...]:
    """The symbols to look across, sorted: all, or the leader and those that have been there longest.

    Neither price nor volume decides, so that a choice made today is one that could have been made
    when the history began.

    Parameters
    ----------
    first_bar : mapping of str to pandas.Timestamp
        When each symbol's history begins.

    Returns
    -------
    tuple of str
        At most :data:`MAX_SYMBOLS`; empty below :data:`MIN_SYMBOLS`.
    """
    if len(first_bar) < MIN_SYMBOLS:
        return ()
    leader = leader_of(first_bar)
    oldest = sorted(first_bar, key=lambda name: (name != leader, first_bar[name], name))
    return tuple(sorted(oldest[:MAX_SYMBOLS]))


def closes_of(history: History) -> Closes:
    """A history's own closes."""
    return Closes(history.time.as_unit("ms").asi8, history.column("close"))


def with_context(
    histories: Sequence[History],
    symbols: Sequence[str] | None = None,
    closes: Mapping[str, Closes] | None = None,
) -> list[History]:
    """Histories that carry the closes of the universe.

    Parameters
    ----------
    histories : sequence of History
        Of one interval.
    symbols : sequence of str, optional
        The universe; by default chosen from the histories and ``closes``
        (:func:`choose_universe`).
    closes : mapping of str to Closes, optional
        Of symbols that are not among the histories.

    Returns
    -------
    list of History
        The context arrays of all of them are views of one read-only table. Without context where
        the universe has fewer than :data:`MIN_SYMBOLS`.

    Raises
    ------
    UsageError
        For histories of different intervals.
    """
    found = {**(closes or {}), **{history.symbol: closes_of(history) for history in histories}}
    if symbols is None:
        begins = {name: pd.Timestamp(one.time[0], unit="ms", tz="UTC") for name, one in found.items()}
        symbols = choose_universe(begins)
    universe = sorted(set(symbols))
    if len(universe) < MIN_SYMBOLS or not histories:
        return [replace(history, context={}) for history in histories]
    if len({history.interval for history in histories}) > 1:
        raise UsageError("histories of different intervals cannot be each other's context", field="interval")
    step = _step(histories[0])
    spans = [closes_of(history).time[[0, -1]] for history in histories]
    start, end = min(int(span[0]) for span in spans), max(int(span[1]) for span in spans)
    table = np.full((len(universe), (end - start) // step + 1), np.nan)
    for row, name in enumerate(universe):
        if name in found:
            _place(table[row], found[name], start, step)
    table.flags.writeable = False
    result = []
    for history, span in zip(histories, spans, strict=True):
        begin = (int(span[0]) - start) // step
        rows = table[:, begin : begin + len(history)]
        result.append(replace(history, context=dict(zip(universe, rows, strict=True))))
    return result


def in_universe(history: History, universe: Sequence[str]) -> History:
    """The history with exactly these symbols as context, NaN for those that it does not carry."""
    names = sorted(universe)
    if names == list(history.context):
        return history
    missing = np.full(len(history) if names else 0, np.nan)
    return replace(history, context={name: history.context.get(name, missing) for name in names})


def check_closes(closes: Closes, interval: str, until: pd.Timestamp, path: str) -> None:
    """Refuse closes that break a rule.

    Parameters
    ----------
    closes : Closes
    interval : str
    until : pandas.Timestamp
        Close of the window's last bar: a later bar had not closed when the question was asked.
    path : str
        Where the closes are in the request, such as ``context.BTCUSDT``.

    Raises
    ------
    WindowError
        With ``field`` such as ``context.BTCUSDT.close[17]``: the first row at fault.
    """
    time, step = closes.time, _step_of(interval)
    if not len(time):
        return
    spacing = np.diff(time)
    if (spacing <= 0).any():
        row = int(np.argmax(spacing <= 0)) + 1
        double = spacing[row - 1] == 0
        raise _refused(
            f"{path}.time[{row}] is {_stamp(time[row])}, "
            f"{'the same as' if double else 'earlier than'} the row before",
            "double_time" if double else "unsorted_time",
            f"{path}.time[{row}]",
            "send each bar once, oldest first",
        )
    last = len(time) - 1
    if time[last] > until.as_unit("ms").asm8.astype(np.int64):
        raise _refused(
            f"{path}.time[{last}] is {_stamp(time[last])}, later than the window's last bar {until}",
            "future_time",
            f"{path}.time[{last}]",
            "time is each bar's CLOSE; end the context where the window ends",
        )
    if (time % step != 0).any():
        row = int(np.argmax(time % step != 0))
        raise _refused(
            f"{path}.time[{row}] is {_stamp(time[row])}, not a {interval} bar's close in UTC",
            "wrong_interval",
            f"{path}.time[{row}]",
            "the context has the interval of the window",
        )
    bad = ~np.isnan(closes.close) & ~((closes.close > 0) & (closes.close < np.inf))
    if bad.any():
        row = int(np.argmax(bad))
        raise _refused(
            f"{path}.close[{row}] is {closes.close[row]}, expected a positive finite price",
            "bad_price",
            f"{path}.close[{row}]",
            "send null where a bar is missing",
        )


def _place(row: FloatArray, closes: Closes, start: int, step: int) -> None:
    """Write closes into their cells of a grid that begins at ``start``; others are left out."""
    cells = (closes.time - start) // step
    inside = (cells >= 0) & (cells < len(row)) & ((closes.time - start) % step == 0)
    row[cells[inside]] = closes.close[inside]


def _step(history: History) -> int:
    return _step_of(history.interval)


def _step_of(interval: str) -> int:
    return int(interval_delta(interval).total_seconds() * 1000)


def _stamp(milliseconds: int | np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(milliseconds), unit="ms", tz="UTC")


def _refused(message: str, code: str, field: str, hint: str) -> WindowError:
    return WindowError(message, code=code, field=field, hint=hint)
