"""The command ``tiers update``: today's brackets of Binance as a dated table beside what ships."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import typer
from pydantic import ValidationError

from features.errors import DataError
from features.json_file import check_target, write_json
from features.sources.exchange.brackets import (
    BRACKETS_SOURCE,
    Bracket,
    ExchangeKey,
    fetch_brackets,
)
from features.sources.exchange.connection import Patience
from serving.tier_tables import Ladder, Tier, TierTable
from serving.tiers import forget_tiers, newer_tables, shipped_tiers
from training.settings import Places

__all__ = ["NewTiers", "new_tiers", "update_command", "with_new"]

EXCHANGE = "binance"


@dataclass(frozen=True)
class NewTiers:
    """What an answer of the exchange came to.

    Attributes
    ----------
    table : TierTable
    refused : dict of str to str
        Symbols whose brackets cannot be, and why; what was known of them stays in use.
    changed : list of str
        Symbols whose tiers differ from what was in use before.
    """

    table: TierTable
    refused: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


def new_tiers(brackets: dict[str, list[Bracket]], day: str, known: list[TierTable]) -> NewTiers:
    """Check the brackets, and make them a table.

    Parameters
    ----------
    brackets : dict of str to list of Bracket
        As from :func:`features.sources.exchange.brackets.fetch_brackets`.
    day : str
        ISO date.
    known : list of TierTable
        In use so far.

    Raises
    ------
    DataError
        ``no_tiers``: none of the brackets can be used.
    """
    ladders, refused = {}, {}
    for symbol, rows in sorted(brackets.items()):
        try:
            ladders[symbol] = _ladder(rows)
        except ValidationError as error:
            refused[symbol] = str(error.errors(include_url=False)[0]["msg"])
        except DataError as error:
            refused[symbol] = error.message
    if not ladders:
        raise DataError(
            f"none of the {len(brackets)} contracts in the exchange's answer has tiers that can be",
            code="no_tiers",
            hint="the tiers in use stay as they are",
        )
    before = _newest(known)
    source = f"{BRACKETS_SOURCE}, read through ccxt {version('ccxt')} on {day}"
    table = TierTable(exchange=EXCHANGE, as_of=day, source=source, symbols=ladders)
    changed = [name for name, one in ladders.items() if name in before and before[name] != one]
    return NewTiers(table, refused, changed)


def _ladder(rows: list[Bracket]) -> Ladder:
    edge = 0.0
    for row in rows:
        if row.floor != edge:
            raise DataError(f"a tier begins at {row.floor:,.0f}, the one before it ends at {edge:,.0f}")
        edge = row.cap
    return Ladder(
        complete=True,
        tiers=[
            Tier(up_to=row.cap, max_leverage=row.max_leverage, rate=row.rate, amount=row.amount)
            for row in rows
        ],
    )


def _newest(tables: list[TierTable]) -> dict[str, Ladder]:
    found: dict[str, Ladder] = {}
    for table in sorted(tables, key=lambda one: one.as_of):
        if table.exchange == EXCHANGE:
            found |= table.symbols
    return found


def with_new(tables: list[TierTable], new: TierTable) -> list[TierTable]:
    """Put a table beside older ones; of these only what was different then is kept.

    So the file holds each change once, and ``--on`` still finds what counted on an earlier day.
    """
    kept = []
    for table in tables:
        if table.exchange == new.exchange and table.as_of == new.as_of:
            symbols = {name: one for name, one in table.symbols.items() if name not in new.symbols}
        else:
            symbols = {name: one for name, one in table.symbols.items() if new.symbols.get(name) != one}
        if symbols:
            kept.append(table.model_copy(update={"symbols": symbols}))
    return [*kept, new]


def update_command(
    places: Places, json: Path | None = None, *, patience: Patience | None = None, day: str | None = None
) -> None:
    """Ask, check, and write the file whole or not at all.

    Parameters
    ----------
    places : Places
        With the file, and the exchange's URL where it is not its own.
    json : Path, optional
        Result for programs.
    patience : Patience, optional
    day : str, optional
        ISO date; today, UTC, by default.

    Raises
    ------
    BearmodeError
        Without a key, without an answer, or with one that is of no use. The file stays as it was.
    """
    check_target(json, "json")
    check_target(places.tiers, "tiers")
    key = ExchangeKey.from_environment()
    tables = newer_tables(places.tiers)
    brackets = fetch_brackets(key, url=places.exchange_url, patience=patience)
    known = [*shipped_tiers().tables, *tables]
    found = new_tiers(brackets, day or datetime.now(UTC).strftime("%Y-%m-%d"), known)
    merged = with_new(tables, found.table)
    write_json(places.tiers, {"tables": [table.model_dump(mode="json") for table in merged]})
    forget_tiers()
    missing = sorted(set(_newest(known)) - set(found.table.symbols))
    typer.echo(f"{places.tiers}: tiers of {len(found.table.symbols)} contracts as of {found.table.as_of}")
    _say("changed", found.changed)
    _say("not in the answer, as before", missing)
    for symbol, reason in found.refused.items():
        typer.echo(f"  {symbol} left out, as before: {reason}", err=True)
    typer.echo("A service that is running reads them when it is started again.")
    if json is not None:
        write_json(
            json,
            {
                "file": str(places.tiers),
                "as_of": found.table.as_of,
                "source": found.table.source,
                "symbols": len(found.table.symbols),
                "changed": found.changed,
                "refused": found.refused,
                "missing": missing,
            },
        )


def _say(what: str, symbols: list[str]) -> None:
    if symbols:
        shown = ", ".join(symbols[:20]) + (f" and {len(symbols) - 20} more" if len(symbols) > 20 else "")
        typer.echo(f"  {what}: {shown}")
