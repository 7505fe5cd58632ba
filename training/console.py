"""Scores as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from training.report import Report

__all__ = ["print_report"]

_COLUMNS = {
    "log_loss": "log loss",
    "macro_f1": "macro F1",
    "f1_bear": "bear",
    "f1_ranging": "ranging",
    "f1_relief_rally": "relief rally",
    "f1_bull": "bull",
    "brier": "Brier",
    "ece": "ECE",
}


def print_report(report: Report) -> None:
    """Print the scores as two tables."""
    console = Console(width=118)
    console.print(
        _table("Out of fold, pooled over folds and symbols", report.models, "switches_per_year", "switches/y")
    )
    console.print(
        f"{report.spells} independent spells; "
        f"the hindsight labels switch {report.true_switches:.1f} times a year."
    )
    console.print(_table("The model by symbol", report.symbols, "spells", "spells"))


def _table(title: str, rows: dict[str, dict[str, float]], last: str, last_title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in _COLUMNS.values():
        table.add_column(name, justify="right")
    table.add_column(last_title, justify="right")
    for name, values in rows.items():
        shown = values.get(last, float("nan"))
        table.add_row(name, *(f"{values[one]:.3f}" for one in _COLUMNS), f"{shown:.0f}")
    return table
