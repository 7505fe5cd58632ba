"""What a training run says of itself in words: the run's description in MLflow."""

from __future__ import annotations

from features.raw import LedgerEntry
from training.dataset import Dataset
from training.packaging import Packaged
from training.report import Report

__all__ = ["describe"]

_COLUMNS = ("log_loss", "macro_f1", "f1_bear", "f1_ranging", "f1_relief_rally", "f1_bull", "brier", "ece")


def describe(report: Report, dataset: Dataset, packaged: Packaged) -> str:
    """Markdown: what was learned from, how well it answers, what the data lacked."""
    lines = [
        f"# Regime classifier: {', '.join(dataset.symbols)}",
        "",
        f"{dataset.time.min():%Y-%m-%d} to {dataset.time.max():%Y-%m-%d}, "
        f"{dataset.histories[0].interval} bars, {len(dataset.features)} features. Bundle "
        f"`{packaged.hash[:12]}`; the graph differs from the evaluated model by at most "
        f"{packaged.parity.largest_difference:.1e} over {packaged.parity.rows:,} rows.",
        "",
        f"## Out of fold ({report.spells} independent spells)",
        "",
        table(report.models, (*_COLUMNS, "switches_per_year")),
        "",
        f"The hindsight labels switch {report.true_switches:.1f} times a year. The advice's 99.5 % excursion "
        f"held in {report.excursion_coverage['short']:.2%} of the hours for shorts and "
        f"{report.excursion_coverage['long']:.2%} for longs.",
        "",
        "## By symbol",
        "",
        table(report.symbols, (*_COLUMNS, "spells")),
        "",
        "## By half-year",
        "",
        table(report.folds, _COLUMNS),
        "",
        "## Missing in the data",
        "",
    ]
    for history in dataset.histories:
        lines += [f"- {history.symbol}: {_in_words(entry)}" for entry in history.ledger[:10]]
    return "\n".join(lines) + "\n"


def table(rows: dict[str, dict[str, float]], columns: tuple[str, ...]) -> str:
    """Markdown table of scores, a row each."""
    head = "| | " + " | ".join(name.replace("_", " ") for name in columns) + " |"
    rule = "|---|" + "---|" * len(columns)
    body = [
        f"| {name.replace('_', ' ')} | " + " | ".join(_shown(values.get(one), one) for one in columns) + " |"
        for name, values in rows.items()
    ]
    return "\n".join([head, rule, *body])


def _shown(value: float | None, column: str) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "-"
    if column == "spells":
        return f"{value:.0f}"
    return f"{value:.1f}" if column == "switches_per_year" else f"{value:.3f}"


def _in_words(entry: LedgerEntry) -> str:
    span = "" if entry.start is None else f" {entry.start:%Y-%m-%d %H:%M} to {entry.end:%Y-%m-%d %H:%M}"
    return f"{entry.kind.replace('_', ' ')} in {entry.subject}{span} ({entry.count}) {entry.detail}"
