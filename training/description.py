"""What a training run says of itself in words: the run's description in MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from features.raw import LedgerEntry
from training.dataset import Dataset
from training.packaging import Packaged
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

__all__ = ["describe", "table"]

MODELS = tuple(name for name in SCORE_COLUMNS if name != "spells")
PARTS = tuple(name for name in SCORE_COLUMNS if name not in {"log_loss_skill", "switches_per_year"})


def describe(report: Report, dataset: Dataset, packaged: Packaged) -> str:
    """Markdown: what was learned from, how well it answers, what the data lacked."""
    score = report.score
    lines = [
        f"# Regime classifier: {', '.join(dataset.symbols)}",
        "",
        f"{dataset.time.min():%Y-%m-%d} to {dataset.time.max():%Y-%m-%d}, "
        f"{dataset.histories[0].interval} bars, {len(dataset.features)} features. Bundle "
        f"`{packaged.hash[:12]}`; the graph differs from the evaluated model by at most "
        f"{packaged.parity.largest_difference:.1e} over {packaged.parity.rows:,} rows.",
        "",
        f"## Out of fold ({report.spells} independent spells, {score.market_spells} of the market)",
        "",
        _scores(report.models, MODELS),
        "",
        f"The hindsight labels switch {report.true_switches:.1f} times a year. The advice's 99.5 % excursion "
        f"held in {report.excursion_coverage['short']:.2%} of the hours for shorts and "
        f"{report.excursion_coverage['long']:.2%} for longs. {_sets(report)}",
        "",
        "## The model, with 95 % intervals",
        "",
        "Spells are drawn again: each of one symbol, and those of the leading symbol with all symbols' bars "
        "of that time.",
        "",
        table(INTERVAL_COLUMNS, interval_rows(report)),
        "",
        "## Against the others (log loss, below zero: better)",
        "",
        table(DIFFERENCE_COLUMNS, difference_rows(report)),
        "",
        "## Turns of the market",
        "",
        table(TURN_COLUMNS, turn_rows(report)),
        "",
        _false_switches(report),
        "",
        "## Squeezes: how often 7-day quantiles held, 95 % intervals by calendar weeks",
        "",
        table(SQUEEZE_COLUMNS, _squeezes(report)),
        "",
        "## By symbol",
        "",
        _scores(report.symbols, PARTS),
        "",
        "## By year",
        "",
        _scores(report.years, PARTS),
        "",
        "## By half-year",
        "",
        _scores(report.folds, PARTS),
        "",
        "## Missing in the data",
        "",
    ]
    for history in dataset.histories:
        lines += [f"- {history.symbol}: {_in_words(entry)}" for entry in history.ledger[:10]]
    return "\n".join(lines) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scores(rows: dict[str, dict[str, float]], columns: Sequence[str]) -> str:
    return table(("", *(SCORE_COLUMNS[name] for name in columns)), score_rows(rows, columns))


SQUEEZE_COLUMNS = ("side", "quantile", "part", "held", "interval", "weeks")


def _squeezes(report: Report) -> Iterable[Sequence[str]]:
    for one in report.squeeze_coverage:
        share, interval = f"{one.share:.2%}", f"{one.low:.2%} to {one.high:.2%}"
        yield one.side, f"{one.level:.1%}", one.part.replace("_", " "), share, interval, str(one.weeks)


def _sets(report: Report) -> str:
    found = report.set_coverage
    words = (
        f"The prediction sets held the truth in {found['coverage']:.1%} of the rows with "
        f"{found['mean_size']:.2f} regimes on average"
    )
    lowest = found.get("rolling_90d_coverage_lowest")
    return f"{words}." if lowest is None else f"{words}, over the worst 90 days in {lowest:.1%}."


def _false_switches(report: Report) -> str:
    turns = report.score.turns
    near = {"0": "on the very bar", "1": "within a day"}
    nearby = ", ".join(
        f"{share:.1%} {near.get(days, f'within {days} days')}"
        for days, share in turns.agreement_within.items()
    )
    false = turns.false_switches_per_year
    words = ""
    if false is not None:
        words = (
            f"{false:.1f} switches a year were false: to a regime that the truth has nowhere within "
            f"{turns.within_days:g} days. "
        )
    return f"{words}The truth has the answered regime {nearby}."


def _in_words(entry: LedgerEntry) -> str:
    span = "" if entry.start is None else f" {entry.start:%Y-%m-%d %H:%M} to {entry.end:%Y-%m-%d %H:%M}"
    return f"{entry.kind.replace('_', ' ')} in {entry.subject}{span} ({entry.count}) {entry.detail}"
