"""``bearmode webhooks``: what could not be delivered, and once more. Thin, and quick to import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serving.live.deliveries import Deliveries

__all__ = ["app"]

app = typer.Typer(name="webhooks", help="Deliveries of live mode.", no_args_is_help=True)


@app.command("list")
def list_deliveries(
    state: Annotated[str, typer.Option("--state", help="pending, delivered or dead.")] = "dead",
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
) -> None:
    """Show the newest deliveries of a state."""
    from features.json_file import check_target, write_json  # noqa: PLC0415

    check_target(json, "json")
    if state not in {"pending", "delivered", "dead"}:
        raise typer.BadParameter("expected pending, delivered or dead", param_hint="--state")
    queue = _queue()
    try:
        found = queue.listed(state)
    finally:
        queue.close()
    for one in found:
        typer.echo(f"{one['id']}  {one['attempts']} attempts  {one['error'] or one['status'] or ''}".rstrip())
    if not found:
        typer.echo(f"nothing is {state}")
    if json is not None:
        write_json(json, found)


@app.command()
def resend(
    name: Annotated[
        str | None, typer.Argument(help="Of the webhook; all by default.", show_default=False)
    ] = None,
) -> None:
    """Put dead deliveries into the queue again, with all their attempts."""
    queue = _queue()
    try:
        count = queue.revive(name)
    finally:
        queue.close()
    typer.echo(f"{count} in the queue again" if count else "nothing is dead")


def _queue() -> Deliveries:
    from features.errors import NothingUsableError  # noqa: PLC0415
    from serving.live.database import FILE  # noqa: PLC0415
    from serving.live.deliveries import Deliveries  # noqa: PLC0415
    from serving.live.settings import LiveSettings  # noqa: PLC0415

    folder = LiveSettings.load().state
    if not (folder / FILE).is_file():
        raise NothingUsableError(
            f"live mode has left nothing in {folder}", hint="BEARMODE_LIVE_STATE names its folder"
        )
    return Deliveries(folder)
