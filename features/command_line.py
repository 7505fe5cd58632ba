"""How every command ends: an error is one line on stderr and a documented exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from features.completion import complete_symbols
from features.errors import BearmodeError

__all__ = [
    "IntervalOption",
    "NoPromoteOption",
    "PathOption",
    "SchedulerOption",
    "SinceOption",
    "SourceOption",
    "StoreOption",
    "SymbolsOption",
    "UntilOption",
    "WorkersOption",
    "run",
]

_INTERRUPTED = 130
"""Status after Ctrl-C, as shells have it."""

SymbolsOption = Annotated[
    str,
    typer.Option(
        "--symbols", help="Comma-separated; all that are there by default.", autocompletion=complete_symbols
    ),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="files or simulated; the store by default.", show_default=False)
]
PathOption = Annotated[
    Path | None, typer.Option("--path", help="Folder of --source files.", show_default=False)
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="History store, a folder or a URL such as s3://bucket/prefix; BEARMODE_STORE, else data/.",
        show_default=False,
    ),
]
IntervalOption = Annotated[str, typer.Option("--interval", help="1h, 4h or 1d.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="ISO date, UTC: first bar close, included.", show_default=False)
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="ISO date, UTC: bar closes before it.", show_default=False)
]
NoPromoteOption = Annotated[bool, typer.Option("--no-promote", help="Register only; the champion stays.")]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes; one per core by default.", show_default=False),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", help="A Dask cluster (tcp://host:port) instead of processes here.", show_default=False
    ),
]


def run(app: Callable[..., Any], *, debug: bool | None = None) -> None:
    """Run a command line and leave with its exit status.

    A :class:`~features.errors.BearmodeError` becomes its one line and exit status; any other error
    becomes one line and 1. With ``--debug`` anywhere on the line the traceback is shown.
    """
    if debug is None:
        debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except BearmodeError as error:
        if debug:
            raise
        typer.echo(f"bearmode: {error.one_line()}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != _INTERRUPTED:  # Typer's own, without a word
            raise
        typer.echo("bearmode: interrupted; what was written before is whole", err=True)
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        typer.echo(
            f"bearmode: internal error: {type(error).__name__}: {error} (again with --debug shows where)",
            err=True,
        )
        sys.exit(1)
