"""Bodies that are computed once and sent many times, with the age of their data written in as they go."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from pydantic import BaseModel

from serving.data_age import DataState, age_seconds, data_state

__all__ = ["AgedBody", "Sent", "StaticBody", "joined_rows"]


@dataclass(frozen=True)
class Sent:
    """A body as it is sent.

    Attributes
    ----------
    content : bytes
    tag : str
        Weak entity tag: equal for bodies that differ in nothing but an age.
    newest : pandas.Timestamp or None
        Close of the bar that it is about.
    age : int or None
        Seconds.
    state : DataState or None
    encoding : {"gzip", None}
    """

    content: bytes
    tag: str
    newest: pd.Timestamp | None = None
    age: int | None = None
    state: DataState | None = None
    encoding: str | None = None


class AgedBody:
    """A JSON object that gets ``data_age_seconds`` and ``data_state`` when it is sent.

    Parameters
    ----------
    model : BaseModel
        What does not age.
    newest : pandas.Timestamp or None
        Close of its newest bar; ``None`` where there is none.
    interval : str
    """

    def __init__(self, model: BaseModel, newest: pd.Timestamp | None, interval: str) -> None:
        pure = model.model_dump_json().encode()
        self.size = len(pure)
        self.newest = newest
        self._open = pure[:-1]
        self._digest = _digest(pure)
        self._interval = interval

    def sent(self, now: pd.Timestamp) -> Sent:
        """The body at a moment."""
        if self.newest is None:
            content = self._open + b',"data_age_seconds":null,"data_state":null}'
            return Sent(content, f'W/"{self._digest}"')
        age = age_seconds(self.newest, now)
        state = data_state(self.newest, now, self._interval)
        content = self._open + f',"data_age_seconds":{age},"data_state":"{state}"}}'.encode()
        return Sent(content, f'W/"{self._digest}-{state}"', self.newest, age, state)


class StaticBody:
    """A body that says nothing of its age; its headers do.

    Parameters
    ----------
    model : BaseModel
    newest : pandas.Timestamp
    interval : str
    """

    def __init__(self, model: BaseModel, newest: pd.Timestamp, interval: str) -> None:
        self.newest = newest
        self._pure = model.model_dump_json().encode()
        self._digest = _digest(self._pure)
        self._interval = interval

    @property
    def size(self) -> int:
        """Bytes that it holds, about."""
        return len(self._pure) * 5 // 4

    @cached_property
    def _packed(self) -> bytes:
        return gzip.compress(self._pure, 5, mtime=0)

    def sent(self, now: pd.Timestamp, *, packed: bool = False) -> Sent:
        """The body at a moment, packed for those who take it so."""
        age = age_seconds(self.newest, now)
        state = data_state(self.newest, now, self._interval)
        content = self._packed if packed else self._pure
        return Sent(content, f'W/"{self._digest}"', self.newest, age, state, "gzip" if packed else None)


def joined_rows(around: BaseModel, rows: list[Sent]) -> Sent:
    """A body with the rows in its field ``rows``, which is its last but ``disclaimer``.

    The age is that of the oldest row, and so is the state.

    Parameters
    ----------
    around : BaseModel
        With an empty list ``rows``.
    rows : list of Sent
    """
    before, mark, after = around.model_dump_json().encode().partition(b'"rows":[')
    content = b"".join([before, mark, b",".join(row.content for row in rows), after])
    aged = [row for row in rows if row.newest is not None]
    oldest = max(aged, key=lambda row: row.age or 0, default=None)
    tag = _digest(before + after + "".join(row.tag for row in rows).encode())
    if oldest is None:
        return Sent(content, f'W/"{tag}"')
    return Sent(content, f'W/"{tag}"', oldest.newest, oldest.age, oldest.state)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
