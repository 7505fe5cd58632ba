"""The leaderboard: rows for the terminal and the run's description, everything for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from training.bootstrap import Interval
from training.compare.comparison import Compared, Comparison

__all__ = ["AXIS_WORDS", "as_dict", "headline", "leaderboard_rows", "markdown", "print_leaderboard", "shown"]

COLUMNS = (
    "entry",
    "log loss, 95 %",
    "less the model's, 95 %",
    "it is",
    "F1",
    "rally",
    "ECE",
    "turns",
)
_WIDTH = 118
_LEGEND = "F1: macro; rally: F1 of relief rallies; turns: switches a year."
AXIS_WORDS = {
    "time": "later half-years of the symbols that were learned from",
    "symbols": "a symbol that was not learned from, at hours that were",
    "both": "later half-years of a symbol that was not learned from",
}


def leaderboard_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row for each entry, lowest log loss first."""
    return [_row(one) for one in comparison.entries]


def headline(comparison: Comparison) -> str:
    """How much evidence there is, in one sentence."""
    if not comparison.entries:
        return "No entry could be scored."
    score = comparison.entries[0].score
    true = score.turns.true_switches_per_year
    switches = "" if true is None else f"; the hindsight labels switch {true:.1f} times a year"
    return (
        f"{score.values['rows']:,.0f} scored bars, but only {score.spells} independent spells "
        f"({score.market_spells} of the market as a whole); {len(comparison.folds)} folds, "
        f"{comparison.folds[0].start:%Y-%m} to {comparison.folds[-1].end:%Y-%m}: "
        f"{AXIS_WORDS[comparison.axis]}{switches}."
    )


def print_leaderboard(comparison: Comparison) -> None:
    """Print it as a table, with what failed below."""
    console = Console(width=max(_WIDTH, Console().width))
    table = Table(
        title="Leaderboard, out of fold; intervals over spells",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
    )
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for row in leaderboard_rows(comparison):
        table.add_row(*row)
    console.print(table)
    console.print(f"{_LEGEND}\n{headline(comparison)}", highlight=False)
    for fold in comparison.skipped:
        console.print(f"not walked, {fold}", highlight=False, markup=False)


def markdown(comparison: Comparison) -> str:
    """The same as Markdown, for the parent run in MLflow."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in leaderboard_rows(comparison)]
    lines += ["", headline(comparison)]
    lines += [f"Failed: {name}: {error.message}" for name, error in comparison.failed.items()]
    lines += [f"Not walked, {fold}" for fold in comparison.skipped]
    return "\n".join(lines) + "\n"


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything, JSON-ready; what is not defined is ``None``."""
    plan = comparison.plan
    found: dict[str, Any] = _plain(
        {
            "axis": comparison.axis,
            "symbols": list(comparison.dataset.symbols),
            "interval": comparison.dataset.histories[0].interval,
            "sources": sorted({history.source for history in comparison.dataset.histories}),
            "first_bar": comparison.dataset.time.min().isoformat(),
            "last_bar": comparison.dataset.time.max().isoformat(),
            "data_hash": plan.data_hash,
            "recipe": plan.recipe.as_dict(),
            "folds": [
                {"name": fold.name, "start": fold.start.isoformat(), "end": fold.end.isoformat()}
                for fold in comparison.folds
            ],
            "skipped_folds": list(comparison.skipped),
            "entries": [_entry(one) for one in comparison.entries],
            "failed": {
                name: {"code": error.code, "message": error.message, "hint": error.hint}
                for name, error in comparison.failed.items()
            },
        }
    )
    return found


def _entry(one: Compared) -> dict[str, Any]:
    against = None if one.against is None else {**asdict(one.against), "verdict": one.against.verdict}
    return {
        "name": one.name,
        "words": one.entry.words,
        "parameters": {name: str(value) for name, value in one.parameters.items()},
        "cpu_seconds": one.seconds,
        "scores": {**one.score.values, **one.skill},
        "intervals": {name: asdict(found) for name, found in one.score.intervals.items()},
        "market_intervals": {name: asdict(found) for name, found in one.score.market_intervals.items()},
        "turns": asdict(one.score.turns),
        "symbols": one.score.by_symbol,
        "folds": one.score.by_fold,
        "years": one.score.by_year,
        "spells": one.score.spells,
        "market_spells": one.score.market_spells,
        "against_model": against,
    }


def _row(one: Compared) -> tuple[str, ...]:
    values = one.score.values
    switches = one.score.turns.switches_per_year
    against = one.against
    return (
        one.name.replace("_", " "),
        _with_span(one.score.intervals["log_loss"], ".3f"),
        "" if against is None else _with_span(against.interval, "+.3f"),
        "" if against is None else against.verdict,
        f"{values['macro_f1']:.3f}",
        f"{values['f1_relief_rally']:.3f}",
        f"{values['ece']:.3f}",
        "-" if switches is None else f"{switches:.0f}",
    )


def _with_span(interval: Interval, form: str) -> str:
    if np.isnan(interval.low):
        return f"{interval.estimate:{form}}"
    return f"{interval.estimate:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _plain(value: Any) -> Any:
    """The same with ``None`` where a number is not finite: JSON has no other."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def shown(entries: Iterable[Compared], names: Sequence[str], count: int) -> list[Compared]:
    """Entries that pictures show: those named first, then the best of the others, in their order."""
    found = list(entries)
    first = [one for one in found if one.name in names]
    rest = [one for one in found if one.name not in names]
    kept = {one.name for one in [*first, *rest][:count]}
    return [one for one in found if one.name in kept]
