"""Asking the archive over HTTP: bounded, patient with what passes, brief with what does not.

An answer is one of three: the bytes, ``None`` for a file that is not there, or a
:class:`FileFailedError` for a file that cannot be had. What concerns the whole archive - nobody
answers, or it wants us gone - is a :class:`~features.errors.BearmodeError` and ends the work.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import urllib.request
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import tenacity
from yarl import URL

from features.errors import BearmodeError
from features.sources.archive.settings import ArchiveSettings

__all__ = ["ArchiveClient", "FileFailedError"]

_MISSING = {403, 404, 410}
"""An object store that may not be listed answers 403 for what is not there."""
_RATE_LIMITED = {418, 429}
_AGAIN = {408, 425, 500, 502, 503, 504, 520, 522, 524}
_LOST = (aiohttp.RedirectClientError, aiohttp.InvalidURL, aiohttp.TooManyRedirects)
"""A redirect to what is no address, no http or another redirect, and again."""
_LONGEST_WAIT = 30.0
_LONGEST_PAUSE = 60.0
_PAUSES = 20
"""One request that was told so often to wait gives up."""
_FAILED_FILES = 8
"""So many failed files without one answer between them: the archive is down."""
_CHUNK = 1 << 16


class FileFailedError(Exception):
    """A file that cannot be had now; the message is the reason, in words.

    ``answered`` says that the archive itself is well.
    """

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered


class _AgainError(Exception):
    """A try that failed and may be repeated."""

    def __init__(self, reason: str, *, connected: bool = True, rate_limited: bool = False) -> None:
        super().__init__(reason)
        self.connected = connected
        self.rate_limited = rate_limited


@dataclass
class _Tries:
    """Failed tries of one request; being told to wait is no failure of the file."""

    failures: int = 0
    pauses: int = 0


class ArchiveClient:
    """One session with the archive; an asynchronous context manager.

    Parameters
    ----------
    settings : ArchiveSettings

    Attributes
    ----------
    received : int
        Bytes of bodies so far.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self.received = 0
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None
        self._resume_at = 0.0
        self._answered = False
        self._failed_in_a_row = 0

    @property
    def where(self) -> str:
        """The archive's address for messages, without credentials."""
        return str(URL(self._settings.archive_url).with_user(None).with_query(None))

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._proxy = _proxy_of(settings.archive_url)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.connections, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(
                total=4 * settings.timeout_seconds,
                connect=None,
                sock_connect=settings.timeout_seconds,
                sock_read=settings.timeout_seconds,
            ),
            headers={"User-Agent": "bearmode", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, limit: int) -> bytes | None:
        """Bytes of a file; ``None`` if it is not there.

        Parameters
        ----------
        path : str
            Below the archive's address.
        limit : int
            Most bytes that are taken.

        Raises
        ------
        FileFailedError
            If this file cannot be had: too large, or every try failed.
        BearmodeError
            ``archive_unreachable``, ``archive_rate_limited``, ``archive_restricted``.
        """
        return await self._patiently("GET", path, limit)

    async def exists(self, path: str) -> bool:
        """Whether a file is there; raises what :meth:`get` raises."""
        return await self._patiently("HEAD", path, 0) is not None

    async def _patiently(self, method: str, path: str, limit: int) -> bytes | None:
        settings, tries = self._settings, _Tries()
        half = settings.backoff_seconds / 2
        wait = tenacity.wait_exponential(multiplier=half, max=_LONGEST_WAIT) + tenacity.wait_random(0, half)
        retrying = tenacity.AsyncRetrying(
            sleep=asyncio.sleep,
            retry=tenacity.retry_if_exception_type(_AgainError),
            stop=lambda _: tries.failures >= settings.attempts or tries.pauses >= _PAUSES,
            wait=lambda state: wait(state) if tries.failures else 0.0,
            reraise=True,
        )
        try:
            found: bytes | None = await retrying(self._try, method, path, limit, tries)
        except _AgainError as error:
            raise self._given_up(error, tries) from error
        except FileFailedError as error:
            if error.answered:
                raise
            raise self._failed(str(error), connected=True, reason=str(error)) from error
        self._answered, self._failed_in_a_row = True, 0
        return found

    def _given_up(self, error: _AgainError, tries: _Tries) -> Exception:
        if error.rate_limited:
            return BearmodeError(
                f"the archive {self.where} has told us {tries.pauses} times to wait",
                code="archive_rate_limited",
                hint="run the command again later: what is downloaded is kept; fewer connections may help",
            )
        reason = f"not received in {tries.failures} tries: {error}"
        return self._failed(str(error), connected=error.connected, reason=reason)

    def _failed(self, words: str, *, connected: bool, reason: str) -> Exception:
        """Whether one file has failed, or all do."""
        self._failed_in_a_row += 1
        if connected and self._failed_in_a_row < _FAILED_FILES:
            return FileFailedError(reason)
        begun = "can no longer be reached" if self._answered else "cannot be reached"
        return BearmodeError(
            f"the archive {self.where} {begun}: {words}",
            code="archive_unreachable",
            hint="check the network and --archive-url, then run the command again: what is there is kept",
        )

    async def _try(self, method: str, path: str, limit: int, tries: _Tries) -> bytes | None:
        try:
            return await self._once(method, path, limit)
        except _AgainError as error:
            if error.rate_limited:
                tries.pauses += 1
            else:
                tries.failures += 1
            raise
        except aiohttp.ClientConnectorCertificateError as error:
            tries.failures += 1
            raise BearmodeError(
                f"the archive {self.where} has no valid certificate: {error.certificate_error}",
                code="archive_unreachable",
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            tries.failures += 1
            raise _AgainError(_words(error), connected=False) from error
        except _LOST as error:
            raise FileFailedError(f"not received: a redirect that leads nowhere ({_words(error)})") from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            tries.failures += 1
            raise _AgainError(_words(error)) from error

    async def _once(self, method: str, path: str, limit: int) -> bytes | None:
        await self._pause()
        if self._session is None:
            raise RuntimeError("the client is used outside of its context")
        url = URL(f"{self._settings.archive_url}/{path}", encoded=True)
        async with self._session.request(
            method, url, proxy=self._proxy, allow_redirects=True, max_redirects=5
        ) as response:
            status = response.status
            if status == 200:
                return b"" if method == "HEAD" else await self._body(response, limit)
            if status in _MISSING:
                return None
            if status in _RATE_LIMITED:
                self._rest(response.headers.get("Retry-After"))
                raise _AgainError(f"HTTP {status}", rate_limited=True)
            if status in _AGAIN:
                if (told := response.headers.get("Retry-After")) is not None:
                    self._rest(told)
                raise _AgainError(f"HTTP {status}")
            if status == 451:
                raise BearmodeError(
                    f"the archive {self.where} refuses requests from here: HTTP 451",
                    code="archive_restricted",
                    hint="name a mirror with --archive-url",
                )
            raise FileFailedError(f"not received: HTTP {status}")

    async def _body(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        length = response.content_length
        if length is not None and length > limit:
            raise FileFailedError(f"too large: {length:,} bytes, at most {limit:,}", answered=True)
        if length is not None:
            body = await response.read()
        else:
            parts = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                parts += chunk
                if len(parts) > limit:
                    raise FileFailedError(f"too large: more than {limit:,} bytes", answered=True)
            body = bytes(parts)
        self.received += len(body)
        return body

    def _rest(self, told: str | None) -> None:
        """All requests wait as long as the archive says, or the first back-off if it does not say."""
        seconds = max(_seconds(told), self._settings.backoff_seconds, 0.05)
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + seconds)

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(left)


def _seconds(told: str | None) -> float:
    """Seconds of a ``Retry-After``: a number or a date; at most a minute."""
    if told is None:
        return 0.0
    try:
        seconds = float(told)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(told)
        except ValueError:
            return 0.0
        if then.tzinfo is None:
            then = then.replace(tzinfo=dt.UTC)
        seconds = (then - dt.datetime.now(dt.UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_PAUSE) if seconds == seconds else 0.0  # noqa: PLR0124 - nan


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address, asked once instead of at each request."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or error.os_error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, _LOST):
        return type(error).__name__
    return f"{type(error).__name__}: {error}"[:160]
