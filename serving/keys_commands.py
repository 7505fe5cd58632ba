"""The commands ``bearmode keys ...``: add, list and revoke. Thin, and quick to import."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(name="keys", help="API keys of the service.", no_args_is_help=True)


@app.command("add")
def add(
    name: str,
    per_minute: Annotated[
        float | None,
        typer.Option("--per-minute", help="Requests a minute; the setting by default.", show_default=False),
    ] = None,
    expires_days: Annotated[
        float | None,
        typer.Option("--expires-days", help="Days until it ends; never by default.", show_default=False),
    ] = None,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from serving.safety import add_key  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415

    path = ServingSettings.load().keys
    key = add_key(path, name, per_minute=per_minute, expires_days=expires_days)
    typer.echo(key)
    typer.echo(f"the key of {name}; {path} keeps its hash only, so store it now", err=True)


@app.command("list")
def list_keys(
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
) -> None:
    """Name every key, with its state."""
    from features.json_file import check_target, write_json  # noqa: PLC0415
    from serving.safety import read_keys  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415

    check_target(json, "json")
    now = datetime.now(UTC)
    rows = [
        {
            "name": key.name,
            "state": key.state(now),
            "created": _iso(key.created),
            "expires": None if key.expires is None else _iso(key.expires),
            "revoked": None if key.revoked is None else _iso(key.revoked),
            "per_minute": key.per_minute,
        }
        for key in read_keys(ServingSettings.load().keys)
    ]
    if json is not None:
        write_json(json, {"keys": rows})
    for row in rows:
        words = [f"{row['name']:<40} {row['state']:<8} since {row['created']}"]
        words += [f"until {row['expires']}"] if row["expires"] else []
        words += [f"{row['per_minute']:g} a minute"] if row["per_minute"] else []
        typer.echo(", ".join(words))


@app.command("revoke")
def revoke(name: str) -> None:
    """Refuse a key from now on; running services follow within a second."""
    from serving.safety import revoke_key  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415

    revoke_key(ServingSettings.load().keys, name)
    typer.echo(f"{name} is revoked")


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
