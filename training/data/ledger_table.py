"""A gap ledger as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from features.raw import LedgerEntry

__all__ = ["print_ledger"]

SHOWN = 12
_NOTES = {"no_header", "microsecond_times", "jittered_stamps", "snapped_interval", "ignored_column"}
"""What was read as it was meant; shown last."""


def print_ledger(symbol: str, ledger: Sequence[LedgerEntry], shown: int = SHOWN) -> None:
    """Print the first entries, what is missing or refused before what was only noted."""
    if not ledger:
        return
    table = Table(title=f"{symbol}: gap ledger", title_justify="left")
    for name in ("kind", "what", "from", "to", "count", "detail"):
        table.add_column(name)
    ordered = sorted(ledger, key=lambda entry: entry.kind in _NOTES)
    for entry in ordered[:shown]:
        table.add_row(
            entry.kind,
            entry.subject,
            "" if entry.start is None else f"{entry.start:%Y-%m-%d %H:%M}",
            "" if entry.end is None else f"{entry.end:%Y-%m-%d %H:%M}",
            f"{entry.count:,}",
            entry.detail,
        )
    console = Console(width=118)
    console.print(table)
    if len(ordered) > shown:
        console.print(f"... and {len(ordered) - shown} more (--json FILE writes all)")
