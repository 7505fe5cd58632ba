"""The commands ``journal``, ``rollback``, ``prune``, ``backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path

import typer

from features.errors import UsageError
from features.json_file import check_target, write_json
from training.retraining.gate_report import print_checks, print_entries
from training.retraining.journal import Journal
from training.settings import Places

__all__ = ["backup_command", "journal_command", "prune_command", "restore_command", "rollback_command"]

_MB = 1e6


def journal_command(places: Places, last: int | None, number: int | None, json: Path | None) -> None:
    """Print the journal, newest last, or every check of one entry.

    Raises
    ------
    UsageError
        For an entry that is not there.
    """
    check_target(json, "json")
    entries = Journal(places.bundles).entries()
    if number is not None:
        chosen = [entry for entry in entries if entry.get("number") == number]
        if not chosen:
            raise UsageError(f"the journal has no entry {number}", field="entry")
        entries = chosen
    shown = entries if last is None else entries[-last:]
    if shown:
        print_entries(shown)
    else:
        typer.echo(f"nothing has been decided in {places.bundles} yet")
    if number is not None and shown[0].get("checks"):
        print_checks(shown[0])
    if json is not None:
        write_json(json, {"entries": shown})


def rollback_command(places: Places, version: str | None, json: Path | None) -> None:
    """Go back to an earlier champion and say so."""
    from training.retraining.rollback import rollback  # noqa: PLC0415

    check_target(json, "json")
    done = rollback(places, version)
    before = done.before or "a broken champion.json"
    typer.echo(f"{done.version} is the champion again, in place of {before}")
    typer.echo(
        "the registry's alias has followed"
        if done.alias
        else "the registry does not know this bundle: its alias stays; 'bearmode health' shows it"
    )
    below = f"go back to {done.previous}" if done.previous else "find nothing older"
    typer.echo(f"the next rollback would {below}")
    if json is not None:
        write_json(json, done.as_dict())


def prune_command(places: Places, keep: int, *, dry_run: bool, runs: bool, json: Path | None) -> None:
    """Remove old bundles and list what went and what stays."""
    from training.retraining.prune import prune  # noqa: PLC0415

    check_target(json, "json")
    done = prune(places, keep, dry_run=dry_run, runs=runs)
    verb = "would be removed" if dry_run else "removed"
    for name in done.kept:
        typer.echo(f"{name}  kept: {done.why[name]}")
    for name in done.removed:
        typer.echo(f"{name}  {verb}")
    for name in done.strays:
        typer.echo(f"{name}  {verb}: left by a process that was killed")
    more = f"; {done.runs} MLflow runs marked deleted" if done.runs else ""
    typer.echo(
        f"{len(done.removed)} bundles {verb}, {done.freed_bytes / _MB:.1f} MB; {len(done.kept)} stay{more}"
    )
    if json is not None:
        write_json(json, done.as_dict())


def backup_command(places: Places, file: Path, json: Path | None) -> None:
    """Write a backup and say what is in it."""
    from training.retraining.backup import backup  # noqa: PLC0415

    check_target(json, "json")
    done = backup(places, file)
    typer.echo(
        f"{done.file}: {done.bundles} bundles, champion {done.champion or 'none'}, {done.files} files, "
        f"{done.size_bytes / _MB:.1f} MB"
    )
    if not done.database:
        typer.echo("without a tracking database: there is none here, or it is a server's own to back up")
    if json is not None:
        write_json(json, done.as_dict())


def restore_command(file: Path, into: Path, json: Path | None) -> None:
    """Unpack a backup and say how to use it."""
    from training.retraining.restore import restore  # noqa: PLC0415

    check_target(json, "json")
    done = restore(file, into)
    proven = (
        f"champion {done.champion}, proven by its golden rows and windows" if done.champion else "no champion"
    )
    typer.echo(f"{done.files} files of {done.made_at} in {into}: {proven}")
    typer.echo(f"BEARMODE_BUNDLES={done.bundles}")
    typer.echo(f"BEARMODE_MLRUNS={done.mlruns}")
    if json is not None:
        write_json(json, done.as_dict())
