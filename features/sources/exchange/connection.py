"""The line to one venue: ccxt's client, asked patiently, answered with data or one clear error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pandas as pd
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from features.errors import BearmodeError, UsageError
from features.sources.exchange.paging import PageError
from features.sources.exchange.refusals import Heard, NotJsonError, is_passing, refusal, retry_after

__all__ = ["Connection", "Patience"]

T = TypeVar("T")

_KEPT = 2000
"""Characters of an answer that are kept for the error message."""
_NONSENSE = (TypeError, KeyError, IndexError, AttributeError, ValueError, ArithmeticError, RecursionError)
"""What ccxt's parsers raise at an answer whose shape they do not expect."""


@dataclass(frozen=True)
class Patience:
    """How long and how often to ask.

    Attributes
    ----------
    attempts : int
        Tries of one question.
    first_wait : float
        Seconds before the second try; doubles from try to try, with jitter.
    longest_wait : float
        Seconds; a venue that asks for more is given up at once, with its figure in the error.
    timeout : float
        Seconds for connecting and for each piece of an answer.
    pace : float
        Factor on the venue's least spacing of requests: the number of processes that share one
        address keeps them together within its limit.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 60.0
    timeout: float = 15.0
    pace: float = 1.0


class Connection:
    """A ccxt client, made at the first question.

    Parameters
    ----------
    exchange : str
        ccxt's name.
    options : mapping
        Of the ccxt client, such as which markets to list.
    rows : callable
        Gets the JSON of an answer, gives the list of rows in it; something else where there is none.
    url : str, optional
        Replaces scheme and host of every address of the venue; its path goes before theirs.
    patience : Patience
    credentials : mapping, optional
        ccxt's ``apiKey`` and ``secret``, for questions about an account; none by default.

    Raises
    ------
    UsageError
        For a ``url`` that is no HTTP address.
    """

    def __init__(
        self,
        exchange: str,
        options: Mapping[str, Any],
        rows: Callable[[Any], object],
        *,
        url: str | None,
        patience: Patience,
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        self.exchange = exchange
        self.requests = 0
        self._options = options
        self._credentials = dict(credentials or {})
        self._rows = rows
        self._before: tuple[str, str] | None = None
        self._url = None if url is None else _checked(url)
        self._patience = patience
        self._client: Any = None
        self._heard = Heard()

    def ask(self, what: str, question: Callable[[Any], T]) -> T:
        """Put one question to the client, again where the failure may pass.

        Parameters
        ----------
        what : str
            In words, for the error.
        question : callable
            Gets the ccxt client.

        Raises
        ------
        BearmodeError
            ``exchange_restricted``, ``exchange_unreachable``, ``exchange_refused`` or
            ``unknown_symbol``.
        """
        import ccxt  # noqa: PLC0415 - heavy; only where a venue is asked

        if self._client is None:
            self._client = self._new_client(ccxt)

        def put() -> T:
            self._heard = Heard()
            return question(self._client)

        def again(error: BaseException) -> bool:
            temporary = isinstance(error, ccxt.NetworkError | NotJsonError)
            known = temporary or isinstance(error, ccxt.BaseError)
            return known and is_passing(self._heard, self._patience.longest_wait, temporary=temporary)

        retrying = Retrying(
            stop=stop_after_attempt(self._patience.attempts),
            wait=self._wait,
            retry=retry_if_exception(again),
            reraise=True,
        )
        try:
            return retrying(put)
        except ccxt.BaseError as error:
            raise refusal(
                self.exchange,
                self._host(),
                what,
                self._heard,
                unknown_symbol=isinstance(error, ccxt.BadSymbol),
                passing=is_passing(self._heard, float("inf"), temporary=isinstance(error, ccxt.NetworkError)),
                detail=str(error.__cause__ or error),
            ) from error
        except PageError as error:
            raise self.nonsense(what, str(error)) from error
        except (NotJsonError, *_NONSENSE) as error:
            raise self._nonsense(what, error) from error

    def begin_walk(self) -> None:
        """From here on a page that is the same as the one before it is an error."""
        self._before = None

    def nonsense(self, what: str, why: str) -> BearmodeError:
        """Error for an answer that cannot be meant."""
        return BearmodeError(
            f"{self.exchange} ({self._host()}): the answer to {what} is of no use: {why}",
            code="exchange_refused",
            hint="check --exchange-url; nothing of it is kept",
        )

    def server_skew(self, now: Callable[[], pd.Timestamp]) -> pd.Timedelta:
        """Venue's clock minus ours; zero where it lies within the time that asking took."""
        before = now()
        stamp = self.ask("the server's time", lambda client: client.fetch_time())
        after = now()
        try:
            server = pd.Timestamp(int(stamp), unit="ms", tz="UTC")
        except (TypeError, ValueError, OverflowError) as error:
            raise self.nonsense("the server's time", repr(stamp)) from error
        if before <= server <= after:
            return pd.Timedelta(0)
        return server - (after if server > after else before)

    def close(self) -> None:
        """Close the sockets."""
        if self._client is not None:
            self._client.close()

    def _new_client(self, ccxt: Any) -> Any:
        client = getattr(ccxt, self.exchange)(
            {
                "enableRateLimit": True,
                "timeout": int(self._patience.timeout * 1000),
                # A mirror is asked as it is named; the venue itself goes through the user's proxy.
                "requests_trust_env": self._url is None,
                "options": dict(self._options),
                **self._credentials,
            }
        )
        client.rateLimit *= self._patience.pace
        if self._url is not None:
            client.urls["api"] = {
                name: _moved(address, self._url)
                for name, address in client.urls["api"].items()
                if isinstance(address, str)
            }
        plain_fetch = client.fetch

        def fetch(*args: Any, **kwargs: Any) -> Any:
            self.requests += 1
            answer = plain_fetch(*args, **kwargs)
            if not isinstance(answer, dict | list):
                raise NotJsonError
            self._check(str(args[0]), answer)
            return answer

        def listen(code: int, *answer: Any) -> str:
            headers, body = answer[3], str(answer[4])
            self._heard = Heard(code, retry_after(headers), body[:_KEPT])
            return body.strip()

        client.fetch = fetch
        client.on_rest_response = listen
        return client

    def _check(self, url: str, answer: Any) -> None:
        """Ccxt takes an answer without its list of rows for an empty one, and cuts off what repeats."""
        rows = self._rows(answer)
        if not isinstance(rows, list):
            raise TypeError("no rows")
        seen = repr(rows)  # a copy: ccxt writes into what it reads
        if rows and self._before is not None and self._before[0] != url and self._before[1] == seen:
            raise PageError("a page repeats the one before it")
        self._before = (url, seen)

    def _wait(self, state: RetryCallState) -> float:
        patience = self._patience
        backoff = wait_exponential(multiplier=patience.first_wait, max=patience.longest_wait)(state)
        jitter = wait_random(0, patience.first_wait)(state)
        return max(float(backoff + jitter), self._heard.retry_after or 0.0)

    def _nonsense(self, what: str, error: Exception) -> BearmodeError:
        if not isinstance(error, NotJsonError):
            return self.nonsense(what, f"it has not the venue's form ({type(error).__name__})")
        start = self._heard.body.strip()[:40]
        shown = "a web page" if start.startswith("<") else repr(start) if start else "nothing"
        return self.nonsense(what, f"it is no JSON but {shown}")

    def _host(self) -> str:
        if self._url is not None:
            return urlsplit(self._url).netloc
        requested = urlsplit(str(getattr(self._client, "last_request_url", None) or "")).netloc
        return requested or "its own address"


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"--exchange-url is {url!r}, expected an address such as https://mirror.example.org",
            field="exchange_url",
        )
    return url.rstrip("/")


def _moved(address: str, base: str) -> str:
    """An address of the venue on another host: the path stays, templates of the host go.

    Examples
    --------
    >>> _moved("https://fapi.binance.com/fapi/v1", "http://127.0.0.1:8000")
    'http://127.0.0.1:8000/fapi/v1'
    >>> _moved("https://api.{hostname}", "http://127.0.0.1:8000")
    'http://127.0.0.1:8000'
    """
    return base + urlsplit(address).path
