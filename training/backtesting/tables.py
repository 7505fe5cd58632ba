"""A backtest as rows of text: for the terminal and for the page."""

from __future__ import annotations

from math import isfinite

from rich.console import Console
from rich.table import Table

from training.backtesting.study import Backtest, Result

__all__ = ["COLUMNS", "STRESS_COLUMNS", "headline", "print_backtest", "result_row", "stress_rows"]

COLUMNS = (
    *("strategy", "return", "volatility", "Sharpe", "Calmar", "drawdown", "CVaR of a day", "turnover a year"),
    *("fees", "slippage", "funding", "liquidated", "per 1,000 days", "survived a year", "of drawn years"),
    "closest to liquidation",
)
STRESS_COLUMNS = ("strategy", "return", "drawdown", "per 1,000 days", "survived a year")


def percent(value: float, digits: int = 1) -> str:
    """A fraction in percent, ``-`` where it is no number.

    Examples
    --------
    >>> percent(0.1234), percent(float("nan"))
    ('12.3 %', '-')
    """
    return f"{100 * value:.{digits}f} %" if isfinite(value) else "-"


def plain(value: float, digits: int = 2) -> str:
    """A number, ``-`` where it is none."""
    return f"{value:,.{digits}f}" if isfinite(value) else "-"


def result_row(one: Result) -> tuple[str, ...]:
    """One strategy in the order of :data:`COLUMNS`."""
    lives = one.starts
    survived = "-" if lives is None else percent(lives.survived.share)
    return (
        one.name.replace("_", " "),
        percent(one.curve.total),
        percent(one.curve.volatility),
        plain(one.curve.sharpe),
        plain(one.curve.calmar),
        percent(one.curve.drawdown),
        percent(one.curve.cvar),
        plain(one.turnover, 1),
        percent(one.fees),
        percent(one.slippage),
        percent(one.funding),
        str(one.liquidations),
        "-" if lives is None else plain(lives.liquidations),
        survived,
        percent(one.drawn.survived.share),
        percent(one.closest),
    )


def stress_rows(done: Backtest, name: str) -> list[tuple[str, ...]]:
    """One stress in the order of :data:`STRESS_COLUMNS`."""
    return [
        (
            strategy.replace("_", " "),
            percent(one["total"]),
            percent(one["drawdown"]),
            plain(one["liquidations_per_1000_days"]),
            percent(one["survived"]),
        )
        for strategy, one in done.stress[name][1].items()
    ]


def headline(done: Backtest) -> str:
    """What was run, and how much evidence that is."""
    return (
        f"{', '.join(done.symbols)}: {done.time[0]:%Y-%m-%d} to {done.time[-1]:%Y-%m-%d}, "
        f"{done.years:.1f} independent years (symbols move together). "
        f"{done.rows.get('used', 0):,} answers used, {done.rows.get('in_sample', 0):,} left out as in "
        f"sample, {done.rows.get('unanswered', 0):,} bars without one. At {percent(done.funding_assumed)} of "
        "the settlements funding is not known: both sides are charged the default."
    )


def print_backtest(done: Backtest, console: Console) -> None:
    """Print the headline and the tables."""
    console.print(headline(done))
    console.print(_table("Equal parts in every symbol", COLUMNS, [result_row(one) for one in done.results]))
    first = done.results[0]
    if first.starts is not None:
        console.print(
            "Survived a year: share of accounts begun on every day, in every symbol, that end with at least "
            f"half; with {done.years:.1f} independent years a share of "
            f"{percent(first.starts.survived.share)} may be "
            f"{percent(first.starts.survived.low)} to {percent(first.starts.survived.high)}."
        )
    else:
        console.print("The span is shorter than a year: no account begun within it has a full year left.")
    for one in done.results:
        for note in one.notes:
            console.print(f"{one.name}: {note}")
    for name, why in done.absent.items():
        console.print(f"{name} is absent: {why}")
    for name, (words, _) in done.stress.items():
        console.print(_table(f"Stress {name}: {words}", STRESS_COLUMNS, stress_rows(done, name)))


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for row in rows:
        table.add_row(*row)
    return table
