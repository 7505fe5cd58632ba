"""The client's own rules: what is sent, what is tried again, what an answer becomes."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from service_fixtures import ANSWER, request_body

from features.errors import UsageError
from serving.client import AsyncClient, Client
from serving.client_call import Retries, body_of
from serving.client_errors import (
    BadAnswerError,
    ClientError,
    RefusedError,
    TooManyError,
    UnavailableError,
    UnreachableError,
)
from serving.schemas import Account, PredictRequest


def error(status: int, code: str, **headers: str) -> httpx.Response:
    content = {"error": {"code": code, "message": f"said {code}", "field": "time", "hint": "mend it"}}
    return httpx.Response(status, json=content, headers={"X-Request-Id": "abc"} | headers)


def ask(answers: list[httpx.Response | Exception], **options: Any) -> tuple[Any, list[Any], list[float]]:
    """Predict with a client and with an asynchronous one: they end alike."""
    seen: list[httpx.Request] = []
    waits: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        one = answers[min(len(seen), len(answers) - 1)]
        seen.append(request)
        if isinstance(one, Exception):
            raise one
        return httpx.Response(one.status_code, content=one.content, headers=one.headers)

    client = Client(transport=httpx.MockTransport(handle), sleep=waits.append, **options)
    found: Any
    try:
        found = client.predict(request_body())
    except ClientError as raised:
        found = raised
    attempts = len(seen)
    seen.clear()
    calm = options | {"retries": Retries(times=options.get("retries", Retries()).times, first_wait=0.0)}

    async def again() -> Any:
        async with AsyncClient(transport=httpx.MockTransport(handle), **calm) as twin:
            try:
                return await twin.predict(request_body())
            except ClientError as raised:
                return raised

    if all(wait < 1 for wait in waits):
        twin = asyncio.run(again())
        assert (type(twin), getattr(twin, "code", None), len(seen)) == (
            type(found),
            getattr(found, "code", None),
            attempts,
        )
    return found, seen[:attempts] or [None] * attempts, waits


GOOD = httpx.Response(200, json=ANSWER)


def test_an_answer_is_typed() -> None:
    found, seen, waits = ask([GOOD])
    assert (found.regime, found.advice.leverage, found.as_of) == (
        "bear",
        2.5,
        pd.Timestamp("2024-01-01", tz="UTC"),
    )
    assert waits == []
    assert json.loads(seen[0].content) == request_body()
    assert len(seen[0].headers["x-request-id"]) == 32


def test_fields_that_this_client_does_not_know_are_no_error() -> None:
    found, _, _ = ask([httpx.Response(200, json=ANSWER | {"of_next_year": 1})])
    assert found.regime == "bear"


@pytest.mark.parametrize(
    "first",
    [
        error(429, "too_many_requests"),
        error(503, "not_ready"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("went away"),
        httpx.ReadError("reset"),
    ],
)
def test_what_may_pass_is_tried_again(first: httpx.Response | Exception) -> None:
    found, seen, waits = ask([first, first, GOOD])
    assert found.regime == "bear"
    assert len(seen) == 3
    assert 0.125 <= waits[0] <= 0.25 <= waits[1] <= 0.5


@pytest.mark.parametrize(
    ("first", "kind", "code"),
    [
        (error(422, "bad_price"), RefusedError, "bad_price"),
        (error(401, "unauthorized"), RefusedError, "unauthorized"),
        (error(500, "internal"), UnavailableError, "internal"),
        (error(504, "timeout"), UnavailableError, "timeout"),
        (httpx.ReadTimeout("slow"), UnreachableError, "timeout"),
        (httpx.Response(200, json={"regime": "bear"}), BadAnswerError, "bad_answer"),
        (httpx.Response(200, text="<html>"), BadAnswerError, "bad_answer"),
        (httpx.Response(302, headers={"location": "/"}), BadAnswerError, "bad_answer"),
        (httpx.Response(404, text="nginx"), RefusedError, "unknown"),
    ],
)
def test_what_will_not_pass_is_not(
    first: httpx.Response | Exception, kind: type[ClientError], code: str
) -> None:
    found, seen, waits = ask([first])
    assert (type(found), found.code, len(seen), waits) == (kind, code, 1, [])


def test_it_gives_up_with_the_last_error() -> None:
    found, seen, waits = ask([error(429, "too_many_requests")], retries=Retries(times=2))
    assert isinstance(found, TooManyError)
    assert (found.status, found.field, found.hint, found.request_id) == (429, "time", "mend it", "abc")
    assert (len(seen), len(waits)) == (3, 2)
    found, seen, _ = ask([httpx.ConnectError("refused")], retries=Retries(times=0))
    assert isinstance(found, UnreachableError)
    assert "bearmode serve" in str(found.hint)


def test_the_wait_that_the_service_asks_for_is_kept_to() -> None:
    found, _, waits = ask([error(503, "not_ready", **{"Retry-After": "5"}), GOOD])
    assert found.regime == "bear"
    assert waits == [5.0]
    later = (pd.Timestamp.now("UTC") + pd.Timedelta(seconds=9)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    _, _, waits = ask([error(503, "not_ready", **{"Retry-After": later}), GOOD])
    assert 6 < waits[0] <= 9
    found, seen, waits = ask([error(503, "not_ready", **{"Retry-After": "3600"}), GOOD])
    assert (found.retry_after, len(seen), waits) == (3600, 1, [])


def test_the_key_goes_with_every_request_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    _, seen, _ = ask([GOOD])
    assert "x-api-key" not in seen[0].headers
    monkeypatch.setenv("BEARMODE_API_KEY", "of the environment")
    _, seen, _ = ask([GOOD])
    assert seen[0].headers["x-api-key"] == "of the environment"
    found, seen, _ = ask([error(401, "unauthorized")], api_key="given")
    assert seen[0].headers["x-api-key"] == "given"
    assert "given" not in repr(vars(found)) + str(found)


def test_windows_are_packed_where_that_is_asked_for() -> None:
    seen = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return GOOD

    with Client(transport=httpx.MockTransport(handle), compress=True) as client:
        client.predict(request_body())
        client.predict(request_body(bars=2_000))
    assert "content-encoding" not in seen[0].headers
    assert seen[1].headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(seen[1].content)) == request_body(bars=2_000)


def test_bodies_of_all_forms_of_a_window() -> None:
    body = request_body(funding_rate=[float("nan"), 0.1, 0.2])
    account = Account(equity=1000.0)
    at = pd.Timestamp("2024-01-02", tz="UTC")
    for window in (body, PredictRequest.model_validate(body | {"funding_rate": [None, 0.1, 0.2]})):
        found = body_of(window, at, account)
        assert found["as_of"] == 1_704_153_600_000
        assert found["account"]["equity"] == 1000.0
        assert np.isnan(found["funding_rate"][0])
    assert body_of(body)["close"] == body["close"]


def test_what_is_no_address_is_refused() -> None:
    for address in ("localhost:3000", "ftp://here", ""):
        with pytest.raises(UsageError, match="no address"):
            Client(address)
