"""What an answer that is no answer means: try again, or one clear error."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from features.errors import BearmodeError, NothingUsableError

__all__ = ["Heard", "NotJsonError", "VenueRefusedError", "is_passing", "refusal", "restricted", "retry_after"]

_SHOWN = 160
_PLACE = re.compile(
    r"restricted location|your (country|region|location)|jurisdiction|geo.?(block|restrict)", re.I
)
_BUSY = re.compile(r"too (frequent|many)|rate.?limit", re.I)
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([A-Z][A-Za-z ]+)")
_FORBIDDEN, _UNAVAILABLE_FOR_LEGAL_REASONS = 403, 451
_PASSING = frozenset({408, 418, 425, 429})
"""Refusals below 500 that pass: timeouts and rate limits (418 is Binance's ban after them)."""


@dataclass(frozen=True)
class Heard:
    """The last HTTP answer.

    Attributes
    ----------
    status : int or None
        ``None``: there was no answer at all.
    retry_after : float or None
        Seconds that the venue asks us to wait.
    body : str
        The beginning of the body.
    """

    status: int | None = None
    retry_after: float | None = None
    body: str = ""


class NotJsonError(Exception):
    """An answer of status 200 that is no JSON: a web page, a portal, an empty body."""


class VenueRefusedError(BearmodeError):
    """The venue understood the question and said no, in its own form."""

    default_code = "exchange_refused"
    status = 502


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a ``Retry-After`` header, as a number or a date; ``None`` where there is none.

    Examples
    --------
    >>> retry_after({"Retry-After": "3"}), retry_after({"Retry-After": "soon"})
    (3.0, None)
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def restricted(heard: Heard) -> bool:
    """Whether the venue refuses the place that we ask from."""
    if heard.status == _UNAVAILABLE_FOR_LEGAL_REASONS:
        return True
    if heard.status == _FORBIDDEN:
        return not _BUSY.search(heard.body)
    return heard.status is not None and heard.status >= 400 and bool(_PLACE.search(heard.body))


def is_passing(heard: Heard, longest_wait: float, *, temporary: bool) -> bool:
    """Whether asking again may help: no answer, an outage, a rate limit that ends soon.

    ``temporary`` is what ccxt thinks of it; it counts where the HTTP status does not say.
    """
    if restricted(heard) or (heard.retry_after or 0.0) > longest_wait:
        return False
    status = heard.status
    if status is None or status < 400:
        return temporary
    return status >= 500 or status in _PASSING or status == _FORBIDDEN


def refusal(
    exchange: str, host: str, what: str, heard: Heard, *, unknown_symbol: bool, passing: bool, detail: str
) -> BearmodeError:
    """One clear error for a question that got no answer.

    Parameters
    ----------
    exchange, host : str
        Whom we asked.
    what : str
        What for, in words.
    heard : Heard
        The last HTTP answer.
    unknown_symbol : bool
        The venue says that there is no such contract.
    passing : bool
        The failure was of the passing kind, and we have tried as often as we may.
    detail : str
        The library's own words, for failures without an HTTP answer.
    """
    where = f"{exchange} ({host})"
    said = _shown(heard.body)
    if restricted(heard):
        return BearmodeError(
            f"{where} does not serve this place (HTTP {heard.status}{said})",
            code="exchange_restricted",
            hint="use another --exchange, --source archive, or an --exchange-url that may be used from here",
        )
    if unknown_symbol:
        return NothingUsableError(
            f"{where} does not know the contract of this question: {what}{said}",
            code="unknown_symbol",
            field="symbols",
        )
    if heard.status is None:
        return BearmodeError(
            f"{where} cannot be reached for {what}: {_reason(detail)}",
            code="exchange_unreachable",
            hint="check the network, or --exchange-url; nothing of it is kept",
        )
    if heard.retry_after is not None and (passing or heard.status in _PASSING):
        return BearmodeError(
            f"{where} asks to wait {heard.retry_after:.0f} s before {what} (HTTP {heard.status}{said})",
            code="exchange_unreachable",
            hint="run the command again after that; nothing of it is kept",
        )
    if passing or heard.status >= 500:
        return BearmodeError(
            f"{where} is out of order for {what} (HTTP {heard.status}{said})",
            code="exchange_unreachable",
            hint="try again later; nothing of it is kept",
        )
    return VenueRefusedError(
        f"{where} refuses {what} (HTTP {heard.status}{said})",
        hint="check symbol, dates and --exchange-url; nothing of it is kept",
    )


def _reason(detail: str) -> str:
    """What the operating system said, where the library quotes it; else the library's words."""
    found = _SYSTEM.search(detail)
    return found[1] if found else _plain(detail)


def _plain(text: str) -> str:
    """Text of a stranger made fit for a terminal: printable, on one line, short."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def _shown(body: str) -> str:
    if not body.strip():
        return ", no body"
    return ": a web page" if body.lstrip().startswith("<") else f": {_plain(body)}"
