"""The commands ``bearmode tiers ...``: which margin tiers count, and newer ones from the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(name="tiers", help="Margin tiers: which count, and newer ones.", no_args_is_help=True)

JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
]


@app.command("list")
def list_tiers(
    symbols: Annotated[
        str, typer.Argument(help="Comma-separated: every tier of these; else one line a symbol.")
    ] = "",
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="binance or okx; both by default.", show_default=False)
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on", help="ISO date or month: as they were then; the newest by default.", show_default=False
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Show the tiers in use, with date and source, and what is assumed for the rest."""
    from training.data.tiers_list import list_command  # noqa: PLC0415

    list_command(symbols, exchange, on, json)


@app.command("update")
def update_tiers(
    exchange_url: Annotated[
        str | None,
        typer.Option(
            "--exchange-url",
            help="In place of the exchange's own base URL; BEARMODE_EXCHANGE_URL.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Ask Binance for today's tiers, with your API key, and keep them beside what ships."""
    from training.data.tiers_update import update_command  # noqa: PLC0415
    from training.settings import Places  # noqa: PLC0415

    update_command(Places.load(exchange_url=exchange_url), json)
