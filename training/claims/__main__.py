"""``python -m training.claims --source files --path DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.command_line import PathOption, SourceOption, StoreOption, SymbolsOption, run
from training.claims.claims_command import claims_command
from training.settings import Places


def main(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="A walk-forward replay file; made by default.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Markdown file to write.", show_default=False)
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
) -> None:
    """Hold what traders say against real history."""
    claims_command(
        symbols, Places.load(store=store), source=source, path=path, replay=replay, out=out, json=json
    )


if __name__ == "__main__":
    run(lambda: typer.run(main))
