"""All signals, read at each bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.bars import Bars, FloatArray
from features.history import History
from features.signals.core import CORE
from features.signals.declaration import Reading, Signal, SignalColumns, SignalState
from features.signals.extras import EXTRAS
from features.signals.independence import correlation_lookback, effective_signals

__all__ = ["SIGNALS", "SignalRows", "longest_signal_lookback", "readings", "signal_rows", "signal_table"]

SIGNALS: tuple[Signal, ...] = (*CORE, *EXTRAS)
"""All signals, in the order of the answer: the four that every market has, then the extras."""


@dataclass(frozen=True)
class SignalRows:
    """Every signal at some bars, and how independent they are there.

    Attributes
    ----------
    columns : mapping of str to SignalColumns
        By signal name, in the order of :data:`SIGNALS`.
    effective : ndarray of float64, shape (n_rows,)
        Effective number of independent signals among the available ones; NaN where fewer than two
        can be compared.
    """

    columns: Mapping[str, SignalColumns]
    effective: FloatArray


def longest_signal_lookback(per_day: int) -> int:
    """Bars that all signals and their correlations need, the current one included."""
    longest = max(signal.lookback(per_day) for signal in SIGNALS)
    return max(longest, correlation_lookback(SIGNALS, per_day))


def signal_table(history: History, last: int | None = None) -> dict[str, SignalColumns]:
    """Read every signal at each bar.

    Parameters
    ----------
    history : History
    last : int, optional
        Only the last so many rows.

    Returns
    -------
    dict of str to SignalColumns
        By signal name, in the order of :data:`SIGNALS`; row ``t`` uses bars ``<= t``.
    """
    rows = len(history) if last is None else min(last, len(history))
    return _columns(Bars(history, last=rows), rows)


def signal_rows(history: History, last: int | None = None) -> SignalRows:
    """As :func:`signal_table`, with the effective number of independent signals beside it.

    Parameters
    ----------
    history : History
    last : int, optional
        Only the last so many rows.
    """
    rows = len(history) if last is None else min(last, len(history))
    bars = Bars(history, last=rows)
    columns = _columns(bars, rows)
    with np.errstate(all="ignore"):
        return SignalRows(columns, effective_signals(SIGNALS, bars, columns, rows))


def _columns(bars: Bars, rows: int) -> dict[str, SignalColumns]:
    begin = bars.size - rows
    table: dict[str, SignalColumns] = {}
    with np.errstate(all="ignore"):
        for signal in SIGNALS:
            if not all(np.isfinite(bars.column(name)).any() for name in signal.inputs):
                table[signal.name] = _missing(rows)
                continue
            state, value, threshold = signal.compute(bars)
            state, value, threshold = state[begin:], value[begin:], threshold[begin:]
            known = state != SignalState.MISSING
            table[signal.name] = SignalColumns(
                state,
                np.where(known, value, np.nan),
                np.where(known, threshold, np.nan),
                (state == SignalState.BEARISH) & signal.late_when_bearish,
            )
    return table


def _missing(rows: int) -> SignalColumns:
    """A signal of which an input is not there at all."""
    unknown = np.full(rows, np.nan)
    state = np.full(rows, SignalState.MISSING, dtype=np.int8)
    return SignalColumns(state, unknown, unknown, np.zeros(rows, dtype=bool))


def readings(table: Mapping[str, SignalColumns], row: int) -> tuple[Reading, ...]:
    """Read off one row of a :func:`signal_table`; ``row`` may be negative."""
    return tuple(
        Reading(
            name,
            SignalState(int(columns.state[row])),
            float(columns.value[row]),
            float(columns.threshold[row]),
            bool(columns.late[row]),
        )
        for name, columns in table.items()
    )
