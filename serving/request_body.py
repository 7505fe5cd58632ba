"""Reading a request body within its limits, without ever holding more than the limit.

The limit counts the bytes that are sent and, after gzip, the bytes that they unpack to; a declared
length above it is refused before the first byte is read.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers

from serving.web_errors import RequestRefusedError

__all__ = ["ClientGoneError", "check_headers", "read_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete."""


def check_headers(headers: Headers, limit: int) -> None:
    """Refuse by the headers alone.

    Parameters
    ----------
    headers : Headers
        Of the request. A missing ``Content-Type`` counts as JSON.
    limit : int
        Bytes.

    Raises
    ------
    RequestRefusedError
        415 for a type other than ``application/json`` or an encoding other than gzip, 413 for a
        declared length above `limit`.
    """
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestRefusedError(
            415, f"content type is {kind[:60]!r}, expected application/json", hint="send application/json"
        )
    encoding = _encoding(headers)
    if encoding not in {"gzip", "identity"}:
        raise RequestRefusedError(
            415,
            f"content encoding is {encoding[:60]!r}, expected gzip or none",
            code="unsupported_encoding",
            hint="send the body plain or as gzip",
        )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(f"{declared[:20]} bytes are declared", limit)


async def read_body(receive: Receive, headers: Headers, *, limit: int, seconds: float) -> bytes:
    """Read and unpack a whole body.

    Raises
    ------
    RequestRefusedError
        413 above `limit` bytes, 408 after `seconds`, 400 for gzip that cannot be unpacked.
    ClientGoneError
        The client went away.
    """
    unpack = _Gzip(limit) if _encoding(headers) == "gzip" else None
    parts: list[bytes] = []
    sent = unpacked = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                sent += len(chunk)
                if sent > limit:
                    raise _too_large(f"more than {limit:,} bytes were sent", limit)
                part = chunk if unpack is None else unpack(chunk)
                unpacked += len(part)
                if unpacked > limit:
                    raise _too_large(f"it unpacks to more than {limit:,} bytes", limit)
                parts.append(part)
    except TimeoutError as error:
        raise RequestRefusedError(
            408, f"the request body did not arrive within {seconds:g} seconds", hint="send it at once"
        ) from error
    if unpack is not None and sent:
        unpack.check_end()
    return b"".join(parts)


def _encoding(headers: Headers) -> str:
    """Content encoding, ``identity`` where there is none."""
    return headers.get("content-encoding", "").strip().lower() or "identity"


def _too_large(what: str, limit: int) -> RequestRefusedError:
    return RequestRefusedError(
        413,
        f"the request body is too large: {what}, at most {limit:,} are taken",
        hint="send only the window that the model needs (GET /v1/model)",
    )


class _Gzip:
    """One gzip member, unpacked chunk by chunk to at most ``limit`` + 1 bytes."""

    def __init__(self, limit: int) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)
        self._room = limit + 1

    def __call__(self, chunk: bytes) -> bytes:
        try:
            part = self._unpacker.decompress(chunk, self._room) if self._room else b""
        except zlib.error as error:
            raise _bad_gzip(str(error)) from error
        if self._unpacker.unused_data:
            raise _bad_gzip("there are bytes after its end")
        self._room -= len(part)
        return part

    def check_end(self) -> None:
        """Refuse a stream that stops before its checksum."""
        if not self._unpacker.eof:
            raise _bad_gzip("it ends early")


def _bad_gzip(why: str) -> RequestRefusedError:
    return RequestRefusedError(
        400,
        f"the body is not one whole gzip stream: {why}",
        code="bad_gzip",
        hint="compress the whole body once, or send it plain",
    )
