"""What would have been answered at each bar of a symbol, kept in chunks that are computed once.

A chunk is kept under the hash of everything that it was computed from. A new bar, or a value that came
late, changes the hash of the chunks that it touches, and only those are computed again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.history import History
from features.raw import interval_delta
from serving.predictor import Predictor

__all__ = ["CHUNK_BARS", "ReplayedBars", "ReplayedChunks", "chunk_start"]

CHUNK_BARS = 1_440
"""Bars of a chunk: its overhead is the smoothing before its first bar."""
_KEPT = 256
"""Chunks that are kept: about 60 kB each."""


@dataclass(frozen=True)
class ReplayedBars:
    """Answers of consecutive bars; arrays of shape (n,).

    Attributes
    ----------
    probabilities : ndarray of shape (n, 4)
        NaN where nothing is answered.
    regime : ndarray of int8
        -1 where nothing is answered.
    """

    probabilities: FloatArray
    regime: npt.NDArray[np.int8]


def chunk_start(close: pd.Timestamp, interval: str) -> pd.Timestamp:
    """Close of the first bar of the chunk that a bar belongs to; the same for every history.

    Examples
    --------
    >>> chunk_start(pd.Timestamp("1970-03-02 05:00", tz="UTC"), "1h")
    Timestamp('1970-03-02 00:00:00+0000', tz='UTC')
    """
    span = CHUNK_BARS * interval_delta(interval)
    return pd.Timestamp(0, tz="UTC") + (close - pd.Timestamp(0, tz="UTC")) // span * span


class ReplayedChunks:
    """Replays bars of histories; chunks are kept.

    Parameters
    ----------
    predictor : Predictor
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._kept: OrderedDict[bytes, ReplayedBars] = OrderedDict()
        self._lock = threading.Lock()

    def bars(self, history: History, since: pd.Timestamp) -> ReplayedBars:
        """Answers of the bars from a close on, to the history's end.

        Parameters
        ----------
        history : History
            With a window's length before the chunk of ``since``, as far as the symbol's history goes.
        since : pandas.Timestamp

        Returns
        -------
        ReplayedBars
            To the bit what :meth:`Predictor.replay` answers.
        """
        index = history.time
        first = int(index.searchsorted(since))
        begin = int(index.searchsorted(chunk_start(since, history.interval)))
        parts = []
        while begin < len(index):
            after = chunk_start(index[begin], history.interval) + CHUNK_BARS * interval_delta(
                history.interval
            )
            end = int(index.searchsorted(after))
            chunk = self._chunk(history, begin, end)
            skip = max(0, first - begin)
            parts.append(ReplayedBars(chunk.probabilities[skip:], chunk.regime[skip:]))
            begin = end
        if not parts:
            return ReplayedBars(np.zeros((0, 4)), np.zeros(0, np.int8))
        return ReplayedBars(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.regime for part in parts]),
        )

    def _chunk(self, history: History, begin: int, end: int) -> ReplayedBars:
        part = history.part(max(0, begin + 1 - self._predictor.manifest.window_bars), end)
        key = _digest(part, end - begin)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        decided = self._predictor.decided(part, end - begin)
        answered = decided.answered
        found = ReplayedBars(
            np.where(answered[:, None], decided.probabilities, np.nan),
            np.where(answered, decided.decision.regime, -1).astype(np.int8),
        )
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _digest(part: History, count: int) -> bytes:
    """Hash of all that a chunk is computed from."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{part.symbol} {part.interval} {part.time[0].isoformat()} {count}".encode())
    for name in part.frame:
        digest.update(str(name).encode())
        digest.update(np.ascontiguousarray(part.frame[name].to_numpy(np.float64)).data)
    for name, closes in part.context.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(closes).data)
    return digest.digest()
