"""Scores as tables in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from training.report import Report
from training.score_rows import (
    DIFFERENCE_COLUMNS,
    INTERVAL_COLUMNS,
    SCORE_COLUMNS,
    TURN_COLUMNS,
    difference_rows,
    interval_rows,
    score_rows,
    turn_rows,
)

__all__ = ["print_report"]

MODELS = tuple(name for name in SCORE_COLUMNS if name != "spells")
PARTS = tuple(name for name in SCORE_COLUMNS if name not in {"log_loss_skill", "switches_per_year"})


def print_report(report: Report) -> None:
    """Print the scores, their intervals, the differences and the delays as tables."""
    console = Console(width=118)
    score = report.score
    console.print(
        _scores("Out of fold, pooled over folds and symbols (skill: over climatology)", report.models, MODELS)
    )
    console.print(
        f"{report.spells} independent spells, {score.market_spells} of the market as a whole; "
        f"the hindsight labels switch {report.true_switches:.1f} times a year."
    )
    console.print(_table("The model", INTERVAL_COLUMNS, interval_rows(report)))
    console.print(_table("The model against the others", DIFFERENCE_COLUMNS, difference_rows(report)))
    console.print(_table("When the model answers a turn", TURN_COLUMNS, turn_rows(report)))
    false = score.turns.false_switches_per_year
    if false is not None:
        console.print(
            f"{false:.1f} false switches a year: to a regime that is nowhere within "
            f"{score.turns.within_days:g} days."
        )
    console.print(_scores("The model by symbol", report.symbols, PARTS))
    console.print(_scores("The model by year", report.years, PARTS))


def _scores(title: str, rows: dict[str, dict[str, float]], columns: Sequence[str]) -> Table:
    return _table(title, ("", *(SCORE_COLUMNS[name] for name in columns)), score_rows(rows, columns))


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    return table
