"""A symbol that a client names."""

from __future__ import annotations

import re

from serving.web_errors import RequestRefusedError

__all__ = ["SYMBOL_PATTERN", "check_symbol"]

SYMBOL_PATTERN = "^[A-Z0-9]{2,24}$"
_SYMBOL = re.compile(r"[A-Z0-9]{2,24}")


def check_symbol(text: str, field: str = "symbol") -> str:
    """The text, if it is a symbol.

    Parameters
    ----------
    text : str
    field : str
        Where it was given.

    Raises
    ------
    RequestRefusedError
        422 for what is none.

    Examples
    --------
    >>> check_symbol("BTCUSDT")
    'BTCUSDT'
    """
    if not _SYMBOL.fullmatch(text):
        raise RequestRefusedError(
            422,
            f"{text[:60]!r} is no symbol",
            code="bad_symbol",
            field=field,
            hint="2 to 24 capital letters and digits: BTCUSDT",
        )
    return text
