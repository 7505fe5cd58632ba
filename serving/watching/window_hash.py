"""A name for a window's content, so that what was answered can be asked again, without keeping the window."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History
from serving.schemas import PredictRequest

__all__ = ["hash_of_history", "hash_of_request", "hash_of_window"]


def hash_of_window(
    symbol: str,
    interval: str,
    time: npt.NDArray[np.int64],
    columns: Mapping[str, npt.NDArray[np.float64]],
    context: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] | None = None,
) -> str:
    """SHA-256 of a window's values, hexadecimal.

    Parameters
    ----------
    symbol, interval : str
    time : ndarray of shape (n_bars,)
        Closes, Unix milliseconds.
    columns : mapping of str to ndarray of shape (n_bars,)
        A column without a value counts as one that is not there.
    context : mapping of str to (ndarray, ndarray), optional
        Times and closes of other symbols.

    Examples
    --------
    >>> time, close = np.array([0, 1]), np.array([1.0, 2.0])
    >>> one = hash_of_window("BTCUSDT", "1h", time, {"close": close})
    >>> one == hash_of_window("BTCUSDT", "1h", time, {"close": close, "volume": close * np.nan})
    True
    """
    digest = hashlib.sha256(f"{symbol} {interval}".encode())
    digest.update(time.astype("<i8").tobytes())
    for name in sorted(columns):
        _add(digest, name, columns[name])
    for name in sorted(context or {}):
        times, closes = (context or {})[name]
        digest.update(times.astype("<i8").tobytes())
        _add(digest, f"context {name}", closes)
    return digest.hexdigest()


def hash_of_request(request: PredictRequest, bars: int) -> str:
    """Hash of the last ``bars`` bars of a request; the account is no part of it."""
    names = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    given = {name: getattr(request, name, None) for name in names}
    columns = {
        name: np.asarray(values[-bars:], dtype=np.float64)
        for name, values in given.items()
        if values is not None
    }
    context = {
        name: (np.asarray(one.time, dtype=np.int64), np.asarray(one.close, dtype=np.float64))
        for name, one in (request.context or {}).items()
    }
    time = np.asarray(request.time[-bars:], dtype=np.int64)
    return hash_of_window(request.symbol, request.interval, time, columns, context)


def hash_of_history(history: History, bars: int) -> str:
    """Hash of the last ``bars`` bars of a history, as if they had been sent."""
    window = history.window(len(history) - 1, bars)
    names = [name for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) if name in window.frame.columns]
    columns = {name: window.column(name) for name in names}
    time = window.time.as_unit("ms").asi8
    return hash_of_window(window.symbol, window.interval, time, columns)


def _add(digest: hashlib._Hash, name: str, values: npt.NDArray[np.float64]) -> None:
    if np.isnan(values).all():
        return
    digest.update(name.encode())
    # One bit pattern for every NaN and every zero.
    plain = np.where(np.isnan(values), np.nan, values + 0.0)
    digest.update(plain.astype("<f8").tobytes())
