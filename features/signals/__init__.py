"""The signals a trader counts before leaning short, each declared once, each dated by its bar.

Row ``t`` uses bars ``<= t`` and forgets all older than the signal's look-back: a window of exactly
that many bars gives the same bits as the whole history. A signal whose input is missing says
``MISSING``; it never guesses and never raises.
"""

from features.signals.confirmation import CONFIRMING, agreeing, available, confirmed_bear
from features.signals.declaration import Reading, Signal, SignalColumns, SignalState
from features.signals.independence import CORRELATED_DAYS, effective_signals
from features.signals.table import (
    SIGNALS,
    SignalRows,
    longest_signal_lookback,
    readings,
    signal_rows,
    signal_table,
)

__all__ = [
    "CONFIRMING",
    "CORRELATED_DAYS",
    "SIGNALS",
    "Reading",
    "Signal",
    "SignalColumns",
    "SignalRows",
    "SignalState",
    "agreeing",
    "available",
    "confirmed_bear",
    "effective_signals",
    "longest_signal_lookback",
    "readings",
    "signal_rows",
    "signal_table",
]
