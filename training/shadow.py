"""The command ``shadow``: a challenger on live bars, beside the champion."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from features.json_file import check_target, write_json
from features.sources import load_histories, parse_date, parse_symbols
from training.promotion import load_champion
from training.retraining.shadow import Shadow, challenger_version, shadow
from training.settings import Places

__all__ = ["shadow_command"]


def shadow_command(
    version: str | None,
    symbols: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    since: str | None = None,
    until: str | None = None,
    json: Path | None = None,
) -> None:
    """Replay champion and challenger on the bars that neither has seen, and compare them.

    Raises
    ------
    UsageError
        If there is no challenger.
    BundleError
        If there is no champion, or one of the two does not load.
    """
    check_target(json, "json")
    begin = parse_date(since, "since")
    interval = load_champion(places.bundles).manifest.interval
    challenger = challenger_version(places.bundles, version)
    histories = load_histories(
        source,
        parse_symbols(symbols),
        path=path,
        store=places.store,
        interval=interval,
        until=parse_date(until, "until"),
    )
    found = shadow(places.bundles, challenger, histories, since=begin)
    show(found)
    if json is not None:
        write_json(json, found.as_dict())


def show(found: Shadow) -> None:
    """Print the comparison."""
    if not found.bars:
        typer.echo(
            f"champion {found.champion} and challenger {found.challenger} have no bar yet that neither "
            "has seen; bearmode update brings newer ones"
        )
        return
    typer.echo(
        f"champion {found.champion}, challenger {found.challenger}: {found.bars:,} bars, "
        f"{found.since} to {found.until}"
    )
    table = Table("symbol", "bars", "same regime", "divergence", box=None)
    for name, one in sorted(found.symbols.items()):
        table.add_row(name, f"{one['bars']:,.0f}", f"{one['agreement']:.1%}", f"{one['divergence']:.4f}")
    table.add_row("all", f"{found.bars:,}", f"{found.agreement or 0:.1%}", f"{found.divergence or 0:.4f}")
    Console().print(table)
    for pair, count in found.differing.items():
        typer.echo(f"  {pair}: {count:,} bars (champion > challenger)")
    if not found.confirmed_rows:
        typer.echo("no label is confirmed yet: who was right is known three to five weeks after a bar")
        return
    typer.echo(f"confirmed: {found.confirmed_rows:,} rows of {found.confirmed_spells} independent spells")
    for name in ("champion", "challenger"):
        typer.echo(f"  {name:<11} log loss {found.log_loss[name]:.3f}, macro F1 {found.macro_f1[name]:.3f}")
