"""The health report as one page in the terminal."""

from __future__ import annotations

from math import isfinite

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from training.health.checks import Check
from training.health.report import HealthReport

__all__ = ["print_report"]

_STYLES = {"ok": "green", "unknown": "dim", "warn": "yellow", "bad": "bold red"}
_MARKS = {"ok": "ok", "unknown": "-", "warn": "WARN", "bad": "BAD"}


def print_report(report: HealthReport, console: Console | None = None) -> None:
    """Print the checks, the months and the features that moved most."""
    console = console or Console()
    console.print(
        f"champion {report.version}, {report.age_days:.1f} days old at {report.now:%Y-%m-%d %H:%M} UTC: ",
        Text(report.state, style=_STYLES[report.state]),
        sep="",
    )
    console.print(_checks(report.checks))
    if report.months:
        console.print(_months(report))
    if report.served:
        console.print(_served(report))
    moved = _moved(report)
    if moved.row_count:
        console.print(moved)


def _checks(checks: tuple[Check, ...]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("reason")
    for check in checks:
        table.add_row(check.name, Text(_MARKS[check.state], style=_STYLES[check.state]), escape(check.words))
    return table


def _months(report: HealthReport) -> Table:
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="dim",
        title="Expected at the time, realised once labels confirmed",
        title_justify="left",
        title_style="",
    )
    for name in ("month", "answered by"):
        table.add_column(name, no_wrap=True)
    for name in ("known", "spells", "loss exp.", "real.", "gap", "right exp.", "real."):
        table.add_column(name, justify="right")
    for month in report.months:
        table.add_row(
            month.month,
            month.models,
            f"{month.confirmed:.0%}",
            str(month.spells),
            *(_number(value) for value in (month.expected_log_loss, month.realised_log_loss)),
            _number(month.gap, sign=True),
            *(_number(value) for value in (month.expected_accuracy, month.realised_accuracy)),
        )
    return table


def _served(report: HealthReport) -> Table:
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="dim",
        title="What was served, by bundle: the prediction log beside labels confirmed since",
        title_justify="left",
        title_style="",
    )
    for name in ("bundle", "last bar"):
        table.add_column(name, no_wrap=True)
    for name in ("bars", "known", "spells", "loss exp.", "real.", "gap", "right exp.", "real."):
        table.add_column(name, justify="right")
    for one in report.served:
        table.add_row(
            one.version,
            f"{one.until:%Y-%m-%d %H:%M}",
            str(one.bars),
            str(one.confirmed),
            str(one.spells),
            *(_number(value) for value in (one.expected_log_loss, one.log_loss)),
            _number(one.gap, sign=True),
            *(_number(value) for value in (one.expected_accuracy, one.accuracy)),
        )
    return table


def _moved(report: HealthReport) -> Table:
    table = Table(
        box=None,
        padding=(0, 1),
        header_style="dim",
        title="Features that moved most, against what 95 % of the training's windows stayed within",
        title_justify="left",
        title_style="",
    )
    for name in ("symbol", "days", "beyond", "feature: stability index (limit)"):
        table.add_column(name, no_wrap=name != "feature: stability index (limit)")
    for one in report.symbols:
        for window in one.drift:
            if isfinite(window.share):
                worst = ", ".join(f"{f.name} {f.index:.2f} ({f.limit:.2f})" for f in window.worst[:3])
                table.add_row(one.symbol, str(window.days), f"{window.share:.0%}", worst)
    return table


def _number(value: float, *, sign: bool = False) -> str:
    if not isfinite(value):
        return "-"
    return f"{value:+.3f}" if sign else f"{value:.3f}"
