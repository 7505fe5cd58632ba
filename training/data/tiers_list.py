"""The command ``tiers list``: the margin tiers in use, with date and source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import typer
from rich.console import Console
from rich.table import Table

from features.errors import UsageError
from features.json_file import check_target, write_json
from features.sources import parse_symbols
from serving.tiers import Exchange, TierData, tiers_in_use

__all__ = ["list_command", "tier_rows"]

_DATE = re.compile(r"^\d{4}-\d{2}(-\d{2})?$")


def list_command(symbols: str, exchange: str | None, on: str | None, json: Path | None = None) -> None:
    """Print the tiers, and write them for programs.

    Parameters
    ----------
    symbols : str
        Comma-separated: every tier of these; empty: one line for each symbol that has a table.
    exchange : str or None
        Both by default.
    on : str or None
        ISO date or month.
    json : Path, optional

    Raises
    ------
    UsageError
        For an exchange or a date that is none.
    """
    check_target(json, "json")
    exchanges: tuple[Exchange, ...] = get_args(Exchange)
    if exchange is not None and exchange not in exchanges:
        raise UsageError(
            f"--exchange is {exchange!r}, expected one of {', '.join(exchanges)}", field="exchange"
        )
    if on is not None and not _DATE.match(on):
        raise UsageError(f"--on is {on!r}, expected a date such as 2024-09 or 2024-09-27", field="on")
    wanted = tuple(one for one in exchanges if exchange in {None, one})
    data = tiers_in_use()
    names = parse_symbols(symbols)
    rows = tier_rows(data, wanted, names, on)
    _print(rows, data, whole=bool(names))
    if json is not None:
        unknown = {"rate": data.unknown.rate, "max_leverage": data.unknown.max_leverage}
        write_json(json, {"symbols": rows, "unknown": unknown})


def tier_rows(
    data: TierData, exchanges: tuple[Exchange, ...], names: list[str], on: str | None
) -> list[dict[str, Any]]:
    """Tiers by exchange and symbol, JSON-ready.

    ``as_of`` and ``source`` are null where the symbol has no table: the assumption counts then. An end that
    is not known is null.
    """
    found = []
    for exchange in exchanges:
        known = sorted({name for one in data.tables if one.exchange == exchange for name in one.symbols})
        for symbol in names or known:
            as_of = data.as_of(exchange, symbol, on)
            tables = [one for one in data.tables if one.exchange == exchange and one.as_of == as_of]
            source = next((one.source for one in reversed(tables) if symbol in one.symbols), None)
            tiers = [
                {
                    "floor": tier.floor,
                    "up_to": None if tier.up_to == float("inf") else tier.up_to,
                    "max_leverage": tier.max_leverage,
                    "rate": tier.rate,
                    "amount": tier.amount,
                    "known": tier.known,
                }
                for tier in data.ladder(exchange, symbol, on)
            ]
            found.append(
                {"exchange": exchange, "symbol": symbol, "as_of": as_of, "source": source, "tiers": tiers}
            )
    return found


def _print(rows: list[dict[str, Any]], data: TierData, *, whole: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("exchange", "symbol", "as of"):
        table.add_column(name, no_wrap=True)
    numbers = ("up to", "rate", "lev", "amount") if whole else ("tiers", "first to", "rate", "lev", "last to")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        head = (row["exchange"], row["symbol"], row["as_of"] or "assumed")
        tiers = row["tiers"]
        if whole:
            for tier in tiers:
                table.add_row(
                    *head,
                    _money(tier["up_to"]),
                    f"{tier['rate']:.2%}",
                    f"{tier['max_leverage']:g}x",
                    f"{tier['amount']:,.2f}",
                )
        else:
            first = tiers[0]
            cells = (_money(first["up_to"]), f"{first['rate']:.2%}", f"{first['max_leverage']:g}x")
            table.add_row(*head, str(len(tiers)), *cells, _money(tiers[-1]["up_to"]))
    Console(highlight=False).print(table)
    for source in sorted({row["source"] for row in rows if row["source"]}):
        typer.echo(f"source: {source}")
    unknown = data.unknown
    typer.echo(
        f"Any other symbol or exchange: {unknown.rate:.0%} maintenance and {unknown.max_leverage:g}x are "
        "assumed, and answers say so (unknown_margin_tier). Of OKX there is no table."
        if not any(one.exchange == "okx" for one in data.tables)
        else f"Any other symbol: {unknown.rate:.0%} maintenance and {unknown.max_leverage:g}x are assumed."
    )


def _money(value: float | None) -> str:
    return "no end" if value is None else f"{value:,.0f}"
