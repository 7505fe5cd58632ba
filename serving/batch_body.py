"""The body of a batch, taken apart into its windows without reading them.

A batch is tens of megabytes of numbers. Only the few characters that give JSON its structure are looked
at; each window is then read by itself, exactly as the body of a single request would be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from serving.web_errors import RequestRefusedError

__all__ = ["MAX_WINDOWS", "split_batch"]

MAX_WINDOWS = 200
MAX_STRUCTURE = 2_000_000
"""Quotes and brackets in a body; two hundred full windows have 50,000."""
MAX_REST = 1_000_000
"""Bytes of a body that are no windows."""

_PIECE = 1 << 20
_QUOTE, _ESCAPE, _OPEN, _CLOSE = b'"'[0], b"\\"[0], frozenset(b"{["), frozenset(b"}]")
_BRACE, _BRACKET = b"{"[0], b"["[0]
_STRUCTURE = np.zeros(256, dtype=bool)
_STRUCTURE[list(b'"{}[]')] = True


@dataclass
class _Scan:
    """Where the windows of a body lie."""

    spans: list[tuple[int, int]]
    arrays: int = 0
    """Lists under the name ``windows``."""


def split_batch(body: bytes) -> list[bytes | RequestRefusedError]:
    """The windows of a batch, each as the bytes of its object; what is no object as the error for it.

    Parameters
    ----------
    body : bytes
        ``{"windows": [{...}, ...]}``.

    Raises
    ------
    RequestRefusedError
        400 for what is not JSON around the windows, 422 for what breaks a rule of the batch.

    Examples
    --------
    >>> split_batch(b'{"windows": [{"symbol": "BTCUSDT"}, {}]}')
    [b'{"symbol": "BTCUSDT"}', b'{}']
    """
    scan = _scanned(body)
    listed = _listed(_rest(body, scan.spans))
    spans = iter(scan.spans)
    found: list[bytes | RequestRefusedError] = []
    for index, one in enumerate(listed):
        span = next(spans, None) if isinstance(one, dict) else None
        if span is None:
            kind = type(one).__name__.replace("NoneType", "null")
            found.append(RequestRefusedError(422, f"windows[{index}] is no object but of type {kind}"))
        else:
            found.append(body[span[0] : span[1]])
    if scan.arrays != 1 or next(spans, None) is not None:
        raise RequestRefusedError(422, "windows is given twice", field="windows")
    return found


def _rest(body: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The body with an empty object in place of each window."""
    parts, end = [], 0
    for start, stop in spans:
        parts.append(body[end:start])
        end = stop
    parts.append(body[end:])
    if sum(map(len, parts)) > MAX_REST:
        raise RequestRefusedError(
            422, "the body holds more than windows", field="windows", hint='send {"windows": [{...}, ...]}'
        )
    return b"{}".join(parts)


def _listed(rest: bytes) -> list[object]:
    try:
        outer = orjson.loads(rest)
    except orjson.JSONDecodeError as error:
        raise RequestRefusedError(
            400, f"the body is not JSON: {str(error)[:200]}", code="not_json"
        ) from error
    if not isinstance(outer, dict):
        raise RequestRefusedError(422, "the body is no object", hint='send {"windows": [{...}, ...]}')
    for name in outer:
        if name != "windows":
            raise RequestRefusedError(
                422,
                f"{name[:60]} is not a field of a batch",
                field=name[:60] or None,
                hint="as_of, context and account belong into each window",
            )
    listed = outer.get("windows")
    if not isinstance(listed, list):
        what = "missing" if "windows" not in outer else "no list"
        raise RequestRefusedError(422, f"windows is {what}", field="windows")
    if not 1 <= len(listed) <= MAX_WINDOWS:
        raise RequestRefusedError(
            422, f"there are {len(listed):,} windows, expected 1 to {MAX_WINDOWS}", field="windows"
        )
    return listed


def _structure(body: bytes) -> Iterator[tuple[int, int]]:
    """Position and value of each quote and bracket, also of those within strings."""
    data = np.frombuffer(body, dtype=np.uint8)
    count = 0
    for begin in range(0, len(data), _PIECE):
        piece = data[begin : begin + _PIECE]
        positions = np.flatnonzero(_STRUCTURE[piece])
        count += len(positions)
        if count > MAX_STRUCTURE:
            raise RequestRefusedError(
                422, f"the body has more than {MAX_STRUCTURE:,} quotes and brackets", hint="send less context"
            )
        yield from zip((positions + begin).tolist(), piece[positions].tolist(), strict=True)


def _scanned(body: bytes) -> _Scan:
    scan = _Scan([])
    depth, string, key, begin, inside = 0, -1, b"", 0, False
    for position, mark in _structure(body):
        if string >= 0:
            if mark == _QUOTE and not _escaped(body, position):
                if depth == 1:
                    key = body[string + 1 : min(position, string + 16)]
                string = -1
        elif mark == _QUOTE:
            string = position
        elif mark in _OPEN:
            if depth == 1 and mark == _BRACKET and key == b"windows":
                inside = True
                scan.arrays += 1
            elif depth == 2 and inside and mark == _BRACE:
                begin = position
            depth += 1
        elif mark in _CLOSE:
            depth -= 1
            if depth == 2 and inside and body[position] == b"}"[0]:
                scan.spans.append((begin, position + 1))
            elif depth == 1:
                inside = False
    return scan


def _escaped(body: bytes, position: int) -> bool:
    """Whether the quote at a position is part of its string."""
    before = position
    while before > 0 and body[before - 1] == _ESCAPE:
        before -= 1
    return (position - before) % 2 == 1
