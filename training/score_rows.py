"""Rows of the tables that say what a walk scored; the terminal and the run's description both show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from training.bootstrap import Interval
from training.evaluation import Delay
from training.report import Report

__all__ = [
    "DIFFERENCE_COLUMNS",
    "INTERVAL_COLUMNS",
    "SCORE_COLUMNS",
    "TURN_COLUMNS",
    "difference_rows",
    "interval_rows",
    "score_rows",
    "turn_rows",
]

SCORE_COLUMNS = {
    "log_loss": "log loss",
    "macro_f1": "macro F1",
    "f1_bear": "bear",
    "f1_ranging": "ranging",
    "f1_relief_rally": "relief rally",
    "f1_bull": "bull",
    "brier": "Brier",
    "ece": "ECE",
    "log_loss_skill": "skill",
    "switches_per_year": "switches/y",
    "spells": "spells",
}
INTERVAL_COLUMNS = ("score", "value", "95 % by spell", "95 % by market spell")
DIFFERENCE_COLUMNS = (
    "model less",
    "log loss",
    "95 % by spell",
    "95 % by market spell",
    "Diebold-Mariano p",
    "verdict",
)
TURN_COLUMNS = ("turn to", "turns", "missed", "cut off", "median delay", "95 %", "90 % within")
SHOWN = {
    "log_loss": "log loss",
    "brier": "Brier",
    "macro_f1": "macro F1",
    "balanced_accuracy": "balanced accuracy",
    "f1_relief_rally": "relief rally F1",
    "precision_relief_rally": "relief rally precision",
    "recall_relief_rally": "relief rally recall",
    "recall_bear": "bear recall",
    "recall_ranging": "ranging recall",
    "recall_bull": "bull recall",
    "ece": "ECE",
    "ece_classwise": "ECE by class",
}


def score_rows(table: Mapping[str, Mapping[str, float]], columns: Iterable[str]) -> list[tuple[str, ...]]:
    """A row for each model or part: its name, then its scores."""
    return [
        (_words(name), *(_score(values.get(column), column) for column in columns))
        for name, values in table.items()
    ]


def interval_rows(report: Report) -> list[tuple[str, ...]]:
    """The model's headline scores with both intervals."""
    score = report.score
    return [
        (
            words,
            _score(score.intervals[name].estimate, name),
            _interval(score.intervals[name]),
            _interval(score.market_intervals[name]),
        )
        for name, words in SHOWN.items()
    ]


def difference_rows(report: Report) -> list[tuple[str, ...]]:
    """Log loss of the model less that of each other."""
    return [
        (
            _words(name),
            f"{found.interval.estimate:+.3f}",
            _interval(found.interval, "+.3f"),
            _interval(found.market, "+.3f"),
            _probability(found.diebold_mariano.p_value),
            found.verdict,
        )
        for name, found in report.differences.items()
    ]


def turn_rows(report: Report) -> list[tuple[str, ...]]:
    """How soon the model answered the turns of the truth, relief rally first."""
    turns = report.score.turns
    order = sorted(turns.by_class, key=lambda name: name != "relief_rally")
    found: dict[str, Delay] = {name: turns.by_class[name] for name in order} | {"any": turns.all}
    return [
        (
            _words(name),
            str(delay.turns),
            str(delay.missed),
            str(delay.cut_off),
            _days(delay.median_days),
            f"{_days(delay.low_days)} to {_days(delay.high_days)}",
            _days(delay.days_90),
        )
        for name, delay in found.items()
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _defined(value: float | None) -> bool:
    return value is not None and value == value  # noqa: PLR0124 - NaN


def _score(value: float | None, column: str) -> str:
    if value is None or not _defined(value):
        return "-"
    if column == "spells":
        return f"{value:.0f}"
    return f"{value:.1f}" if column == "switches_per_year" else f"{value:.3f}"


def _interval(interval: Interval, form: str = ".3f") -> str:
    if not _defined(interval.low):
        return f"- ({interval.blocks})"
    return f"{interval.low:{form}} to {interval.high:{form}}"


def _probability(value: float) -> str:
    if not _defined(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _days(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} d"
