"""The gate's checks and the journal as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.retraining.journal import TORN
from training.retraining.verdict import Verdict

__all__ = ["print_checks", "print_entries"]

_WIDTH = 118


def print_checks(verdict: Verdict | Mapping[str, Any]) -> None:
    """Print every check of a verdict, or of an entry of the journal that holds one."""
    found = verdict.as_dict() if isinstance(verdict, Verdict) else verdict
    console = Console(width=_WIDTH)
    table = Table(title="What the gate looked at", title_justify="left")
    for name, justify in (("check", "left"), ("", "left"), ("found", "right"), ("bound", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    table.add_column("in words")
    for check in found.get("checks") or ():
        mark = "passed" if check.get("passed") else "FAILED"
        shown = (_number(check.get("value")), _number(check.get("bound")))
        table.add_row(str(check.get("name")), mark, *shown, escape(str(check.get("words", ""))))
    console.print(table)
    window = found.get("window")
    if window:
        console.print(
            f"window {window['start'][:10]} to {window['end'][:10]}: {window['rows']:,} rows, "
            f"{window['spells']} independent spells"
        )


def print_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    """Print entries of the journal, one row each."""
    table = Table(title="Promotion journal", title_justify="left")
    for name in ("no.", "when (UTC)", "decision", "version", "before"):
        table.add_column(name, no_wrap=True)
    table.add_column("why")
    for entry in entries:
        why = entry.get("fragment") if entry.get("action") == TORN else entry.get("reason")
        before = entry.get("previous") or entry.get("champion") or entry.get("from")
        table.add_row(
            str(entry.get("number") or ""),
            str(entry.get("at", ""))[:16].replace("T", " "),
            escape(str(entry.get("action", ""))),
            escape(str(entry.get("version") or "")),
            escape(str(before or "")),
            escape(str(why or "")),
        )
    Console(width=_WIDTH).print(table)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"{value:.2g}" if 0 < abs(value) < 1e-4 else f"{value:.4f}".rstrip("0").rstrip(".")
