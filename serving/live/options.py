"""Options of the command line as settings of live mode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.errors import UsageError

__all__ = ["live_options"]


def live_options(
    symbols: str | None,
    source: str | None = None,
    exchange: str | None = None,
    path: Path | None = None,
    webhooks: Sequence[str] | None = None,
) -> dict[str, object]:
    """Settings that were given, by their names.

    Parameters
    ----------
    symbols : str or None
        Comma-separated.
    source, exchange : str or None
    path : Path or None
    webhooks : sequence of str or None
        Each ``NAME=URL``.

    Raises
    ------
    UsageError
        For a webhook of another form.

    Examples
    --------
    >>> live_options("BTCUSDT", webhooks=["desk=https://desk.example/hook"])["webhooks"]
    [{'name': 'desk', 'url': 'https://desk.example/hook'}]
    """
    given: dict[str, object] = {"symbols": symbols, "source": source, "exchange": exchange, "path": path}
    if webhooks:
        given["webhooks"] = [_webhook(text) for text in webhooks]
    return {name: value for name, value in given.items() if value is not None}


def _webhook(text: str) -> dict[str, str]:
    name, sign, url = (part.strip() for part in text.partition("="))
    if not (name and sign and url):
        raise UsageError("--webhook takes NAME=URL", field="webhook", hint="desk=https://desk.example/hook")
    return {"name": name, "url": url}
