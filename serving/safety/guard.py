"""The guard at the door: refuses by headers and path alone, before a body is read.

With keys every path but the open ones needs one. Without keys the service is for this machine only:
a request that came in on another address, or by a name that is not this machine's, is refused, so
that a proxy, a container or a page that rebinds its name (DNS rebinding) does not open it by accident.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers

from features.errors import UsageError
from serving.safety.key_file import ApiKey
from serving.safety.keyring import Keyring
from serving.safety.rate_limit import RateLimit
from serving.settings import ServingSettings
from serving.web_errors import RequestRefusedError

__all__ = ["OPEN_PATHS", "Guard", "check_exposure", "is_loopback", "open_guard"]

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/healthz", "/docs.json", "/favicon.ico"})
"""Need no key: they hold no data. Probes cannot carry one, the page asks for it, the document is public."""
OPEN_FOLDERS = ("/page/",)
"""The page's own script and style."""

Scope = MutableMapping[str, Any]
_REALM = 'Bearer realm="bearmode"'


class Guard:
    """Admits a request or raises.

    Parameters
    ----------
    keyring : Keyring
    limit : RateLimit
    settings : ServingSettings
        ``rate_per_minute``, ``rate_burst``, ``open_metrics`` and ``allow_open``.
    identified : callable
        Told the name of the key of each request that came with one.
    """

    def __init__(
        self,
        keyring: Keyring,
        limit: RateLimit,
        settings: ServingSettings,
        identified: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._keyring = keyring
        self._limit = limit
        self._settings = settings
        self._identified = identified

    def admit(self, scope: Scope, headers: Headers) -> None:
        """Let a request in, or say why not.

        Raises
        ------
        RequestRefusedError
            401 without an active key, 403 from elsewhere without keys, 429 over the key's rate.
        """
        self._keyring.follow()
        if not self._keyring.required:
            if not self._settings.allow_open and scope["path"] not in OPEN_PATHS:
                _only_here(scope, headers)
            return
        if self._is_open(scope["path"]):
            return
        presented = _presented(headers)
        key = None if presented is None else self._keyring.find(presented)
        if key is None:
            raise _no_key(presented is not None)
        self._identified(key.name)
        self._take_token(key)

    def _is_open(self, path: str) -> bool:
        return (
            path in OPEN_PATHS
            or path.startswith(OPEN_FOLDERS)
            or (path == "/metrics" and self._settings.open_metrics)
        )

    def _take_token(self, key: ApiKey) -> None:
        rate = key.per_minute or self._settings.rate_per_minute
        burst = max(1.0, min(self._settings.rate_burst, rate))
        wait = self._limit.wait(key.name, per_minute=rate, burst=burst)
        if wait <= 0:
            return
        error = RequestRefusedError(
            429,
            f"key {key.name} has used up its {rate:g} requests a minute",
            code="rate_limited",
            hint="wait as long as Retry-After says, or send many windows in one request",
        )
        error.headers = {"Retry-After": str(math.ceil(wait))}
        raise error


def open_guard(
    settings: ServingSettings, shared: Path | None, identified: Callable[[str], None] = lambda _name: None
) -> Guard:
    """The guard of a worker, by its settings.

    Parameters
    ----------
    settings : ServingSettings
    shared : Path, optional
        Folder in which the workers share what each key has used.
    identified : callable
        As of :class:`Guard`.
    """
    expected = "keys" in settings.model_fields_set
    return Guard(Keyring(settings.keys, expected=expected), RateLimit(shared), settings, identified)


def check_exposure(settings: ServingSettings) -> None:
    """Refuse to listen where others can ask without a key.

    Raises
    ------
    UsageError
        ``open_service`` for an address beyond loopback without keys, unless ``allow_open`` is set;
        what :class:`Keyring` raises for a bad file of keys.
    """
    keyring = Keyring(settings.keys, expected="keys" in settings.model_fields_set)
    if keyring.required or settings.allow_open or is_loopback(settings.host):
        return
    raise UsageError(
        f"host {settings.host} can be reached from other machines, and there are no keys in {settings.keys}",
        code="open_service",
        field="host",
        hint="bearmode keys add NAME, or set allow_open where something else keeps strangers out",
    )


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as seen from itself.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _only_here(scope: Scope, headers: Headers) -> None:
    server = scope.get("server")
    asked = _host_name(headers.get("host", ""))
    # A server without an address is a Unix socket: what stands before it decides who may ask.
    reached = server is None or server[1] is None or is_loopback(str(server[0]))
    if reached and (not asked or is_loopback(asked)):
        return
    raise RequestRefusedError(
        403,
        "this service has no API keys and answers on this machine only",
        code="keys_required",
        hint="bearmode keys add NAME, or set allow_open where something else keeps strangers out",
    )


def _host_name(host: str) -> str:
    """Name in a ``Host`` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _presented(headers: Headers) -> str | None:
    """The key of ``X-API-Key`` or of ``Authorization: Bearer``."""
    given = headers.get("x-api-key")
    if given is not None:
        return given.strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _no_key(presented: bool) -> RequestRefusedError:
    error = RequestRefusedError(
        401,
        "this key is not known, or no longer valid" if presented else "this needs an API key",
        code="unknown_key" if presented else "unauthorized",
        hint="send it as X-API-Key, or as Authorization: Bearer",
    )
    error.headers = {"WWW-Authenticate": _REALM}
    return error
