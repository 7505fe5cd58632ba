"""Typed clients of the service, one for threads and one for coroutines.

    with Client("http://127.0.0.1:3000") as client:
        answer = client.predict(window)
        print(answer.regime, answer.advice.leverage)

Everything that the service answers may be asked twice without harm, so overload (429), a service that is not
ready (503) and lost connections are tried again; what it refuses is not. A call ends with a typed answer or
with one of :mod:`serving.client_errors`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import pandas as pd
from pydantic import BaseModel

from features.errors import UsageError
from serving.batch_schemas import BatchAnswer
from serving.client_call import Call, Retries, Window, answered, body_of, failed, packed, request_headers
from serving.client_errors import ClientError
from serving.market_schemas import AgedAnswer, AgedBoard, AgedSignals, Chart, LiquidationMap
from serving.model_schemas import ModelState
from serving.promotion_journal import PromotionJournal
from serving.schemas import Account, Answer
from serving.survival import SurvivalTable

__all__ = ["AsyncClient", "Client"]

KEY_VARIABLE = "BEARMODE_API_KEY"
USUAL_RETRIES = Retries()

Model = TypeVar("Model", bound=BaseModel)


class _Calls:
    """The calls of both clients, as data."""

    @staticmethod
    def predict(window: Window, as_of: pd.Timestamp | int | None, account: Account | None) -> Call[Answer]:
        body = packed(body_of(window, as_of, account))
        return Call("POST", "/v1/predict", Answer, body=body)

    @staticmethod
    def predict_batch(windows: Sequence[Window]) -> Call[BatchAnswer]:
        body = packed({"windows": [body_of(window) for window in windows]})
        return Call("POST", "/v1/predict/batch", BatchAnswer, body=body)

    @staticmethod
    def regime(symbol: str) -> Call[AgedAnswer]:
        return Call("GET", f"/v1/regimes/{symbol}", AgedAnswer)

    @staticmethod
    def board(symbols: Sequence[str] | None) -> Call[AgedBoard]:
        return Call("GET", "/v1/board", AgedBoard, {"symbols": ",".join(symbols)} if symbols else {})

    @staticmethod
    def signals(symbol: str) -> Call[AgedSignals]:
        return Call("GET", f"/v1/signals/{symbol}", AgedSignals)

    @staticmethod
    def history(symbol: str, since: object, until: object, step: str | None) -> Call[Chart]:
        query = {"since": _moment(since), "until": _moment(until), "step": step}
        given = {name: value for name, value in query.items() if value is not None}
        return Call("GET", f"/v1/history/{symbol}", Chart, given)

    @staticmethod
    def liquidation_map(symbol: str, days: int | None) -> Call[LiquidationMap]:
        query = {} if days is None else {"days": str(days)}
        return Call("GET", f"/v1/liquidation_map/{symbol}", LiquidationMap, query)

    @staticmethod
    def survival(symbol: str) -> Call[SurvivalTable]:
        return Call("GET", f"/v1/survival/{symbol}", SurvivalTable)

    @staticmethod
    def model() -> Call[ModelState]:
        return Call("GET", "/v1/model", ModelState)

    @staticmethod
    def journal(limit: int | None) -> Call[PromotionJournal]:
        return Call("GET", "/v1/journal", PromotionJournal, {} if limit is None else {"limit": str(limit)})


class Client:
    """The service, for threads. Use it as a context manager, or :meth:`close` it; threads may share it.

    Parameters
    ----------
    base_url : str
    api_key : str, optional
        By default what ``BEARMODE_API_KEY`` holds, if anything.
    timeout : float
        Seconds for each attempt.
    retries : Retries
    compress : bool
        Send windows as gzip: worth it on a slow line, not on the same machine.
    transport : httpx.BaseTransport, optional
        For tests, or a proxy of your own.
    sleep : callable
        How to wait between attempts.

    Raises
    ------
    UsageError
        For what is no address.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:3000",
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: Retries = USUAL_RETRIES,
        compress: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.base_url = _address(base_url)
        self._retries, self._compress, self._sleep = retries, compress, sleep
        self._http = httpx.Client(transport=transport, **_options(self.base_url, api_key, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        window: Window,
        *,
        as_of: pd.Timestamp | int | None = None,
        account: Account | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """Answer one window.

        Parameters
        ----------
        window : History, PredictRequest or mapping
            A history is sent as it is: cut it to :attr:`ModelState.window_bars` first.
        as_of : pandas.Timestamp or int, optional
            Moment of the question, an integer in Unix milliseconds.
        account : Account, optional
            What sizes are computed for.
        request_id : str, optional
            What the service's log is to call the request.

        Raises
        ------
        ClientError
        """
        return self._ask(_Calls.predict(window, as_of, account), request_id)

    def predict_batch(self, windows: Sequence[Window], *, request_id: str | None = None) -> BatchAnswer:
        """Answer up to 200 windows; each has an answer or an error.

        Raises
        ------
        ClientError
            Only if the batch as a whole is refused.
        """
        return self._ask(_Calls.predict_batch(windows), request_id)

    def regime(self, symbol: str) -> AgedAnswer:
        """Newest answer of a symbol of the live store; raises :class:`ClientError`, as all below do."""
        return self._ask(_Calls.regime(symbol))

    def board(self, symbols: Sequence[str] | None = None) -> AgedBoard:
        """Newest answers of some symbols, or of all."""
        return self._ask(_Calls.board(symbols))

    def signals(self, symbol: str) -> AgedSignals:
        """Signals of a symbol at its newest bar."""
        return self._ask(_Calls.signals(symbol))

    def history(
        self,
        symbol: str,
        *,
        since: pd.Timestamp | str | None = None,
        until: pd.Timestamp | str | None = None,
        step: str | None = None,
    ) -> Chart:
        """Prices with replayed regimes and probabilities; the last 90 days by default."""
        return self._ask(_Calls.history(symbol, since, until, step))

    def liquidation_map(self, symbol: str, *, days: int | None = None) -> LiquidationMap:
        """Estimated liquidation map of a symbol."""
        return self._ask(_Calls.liquidation_map(symbol, days))

    def survival(self, symbol: str) -> SurvivalTable:
        """Measured chances of liquidation."""
        return self._ask(_Calls.survival(symbol))

    def model(self) -> ModelState:
        """What is served, and why not."""
        return self._ask(_Calls.model())

    def journal(self, *, limit: int | None = None) -> PromotionJournal:
        """Decisions about the champion, the newest first."""
        return self._ask(_Calls.journal(limit))

    def _ask(self, call: Call[Model], request_id: str | None = None) -> Model:
        headers, body = request_headers(call, request_id, self._compress)
        attempt = 1
        while True:
            try:
                try:
                    response = self._http.request(
                        call.method, call.path, params=call.query or None, content=body, headers=headers
                    )
                except httpx.TransportError as error:
                    raise failed(call, error, self.base_url) from error
                return answered(call, response)
            except ClientError as error:
                wait = self._retries.wait(attempt, error)
                if wait is None:
                    raise
            self._sleep(wait)
            attempt += 1


class AsyncClient:
    """The service, for coroutines: parameters, methods and errors are those of :class:`Client`."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:3000",
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: Retries = USUAL_RETRIES,
        compress: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = _address(base_url)
        self._retries, self._compress = retries, compress
        self._http = httpx.AsyncClient(transport=transport, **_options(self.base_url, api_key, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self,
        window: Window,
        *,
        as_of: pd.Timestamp | int | None = None,
        account: Account | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """As :meth:`Client.predict`."""
        return await self._ask(_Calls.predict(window, as_of, account), request_id)

    async def predict_batch(self, windows: Sequence[Window], *, request_id: str | None = None) -> BatchAnswer:
        """As :meth:`Client.predict_batch`."""
        return await self._ask(_Calls.predict_batch(windows), request_id)

    async def regime(self, symbol: str) -> AgedAnswer:
        """As :meth:`Client.regime`."""
        return await self._ask(_Calls.regime(symbol))

    async def board(self, symbols: Sequence[str] | None = None) -> AgedBoard:
        """As :meth:`Client.board`."""
        return await self._ask(_Calls.board(symbols))

    async def signals(self, symbol: str) -> AgedSignals:
        """As :meth:`Client.signals`."""
        return await self._ask(_Calls.signals(symbol))

    async def history(
        self,
        symbol: str,
        *,
        since: pd.Timestamp | str | None = None,
        until: pd.Timestamp | str | None = None,
        step: str | None = None,
    ) -> Chart:
        """As :meth:`Client.history`."""
        return await self._ask(_Calls.history(symbol, since, until, step))

    async def liquidation_map(self, symbol: str, *, days: int | None = None) -> LiquidationMap:
        """As :meth:`Client.liquidation_map`."""
        return await self._ask(_Calls.liquidation_map(symbol, days))

    async def survival(self, symbol: str) -> SurvivalTable:
        """As :meth:`Client.survival`."""
        return await self._ask(_Calls.survival(symbol))

    async def model(self) -> ModelState:
        """As :meth:`Client.model`."""
        return await self._ask(_Calls.model())

    async def journal(self, *, limit: int | None = None) -> PromotionJournal:
        """As :meth:`Client.journal`."""
        return await self._ask(_Calls.journal(limit))

    async def _ask(self, call: Call[Model], request_id: str | None = None) -> Model:
        headers, body = request_headers(call, request_id, self._compress)
        attempt = 1
        while True:
            try:
                try:
                    response = await self._http.request(
                        call.method, call.path, params=call.query or None, content=body, headers=headers
                    )
                except httpx.TransportError as error:
                    raise failed(call, error, self.base_url) from error
                return answered(call, response)
            except ClientError as error:
                wait = self._retries.wait(attempt, error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1


def _address(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"{base_url!r} is no address of a service", field="base_url", hint="such as http://127.0.0.1:3000"
        )
    return base_url.rstrip("/")


def _options(base_url: str, api_key: str | None, timeout: float) -> dict[str, Any]:
    """Options of both kinds of httpx client."""
    key = api_key or os.environ.get(KEY_VARIABLE)
    local = urlsplit(base_url).hostname in {"127.0.0.1", "localhost", "::1"}
    return {
        "base_url": base_url,
        "timeout": timeout,
        "headers": {"X-API-Key": key} if key else {},
        # A proxy of the environment cannot reach this machine's own loopback.
        "trust_env": not local,
    }


def _moment(value: object) -> str | None:
    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ") if value.tz else value.isoformat()
    return None if value is None else str(value)
