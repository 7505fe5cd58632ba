"""Which windows have no answer, and what the one who sent such a window is told."""

from __future__ import annotations

from math import isnan

from features.errors import WindowError
from features.history import History

__all__ = ["MISSING_SHARE", "refusal", "refused"]

MISSING_SHARE = 0.01
"""A window may lack at most this share of its bars, and not its last one."""


def refusal(missing_bars: float, close: float, needed: int) -> str | None:
    """Why a bar has no answer, or ``None``.

    Parameters
    ----------
    missing_bars : float
        Bars of the window that are not there; NaN where the history begins within the window.
    close : float
        Close of the window's last bar; NaN where that bar is missing.
    needed : int
        Bars of a window.
    """
    if isnan(missing_bars):
        return "window_too_short"
    if isnan(close):
        return "last_bar_missing"
    if missing_bars > MISSING_SHARE * needed:
        return "too_many_missing_bars"
    return None


def refused(reason: str, window: History, needed: int) -> WindowError:
    """The error for a window that is refused.

    Parameters
    ----------
    reason : str
        As :func:`refusal` names it; the code of the error.
    window : History
    needed : int
        Bars of a window.
    """
    close = window.frame["close"].isna()
    messages = {
        "window_too_short": (f"the window has {len(window)} bars, this model needs {needed}", "time"),
        "last_bar_missing": ("the last bar is missing", f"close[{len(window) - 1}]"),
        "too_many_missing_bars": (
            f"{int(close.sum())} of the last {needed} bars are missing, at most "
            f"{int(MISSING_SHARE * needed)} may be",
            "time",
        ),
    }
    message, field = messages[reason]
    return WindowError(
        message,
        code=reason,
        field=field,
        hint=f"send the last {needed} consecutive bars; GET /v1/model says window_bars",
    )
