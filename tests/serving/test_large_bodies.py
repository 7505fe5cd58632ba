"""The path of the batch: bodies of another size, and no more of them at once than memory bears."""

from __future__ import annotations

import asyncio
import json

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serving.web import LargeBodies, install

LIMIT, LARGE = 1_000, 50_000
JSON = {"content-type": "application/json"}


async def ask() -> dict[str, list[tuple[int, str]]]:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def length(request: Request) -> PlainTextResponse:
        body = await request.body()
        if body == b'"wait"':
            entered.set()
            await go_on.wait()
        return PlainTextResponse(str(len(body)))

    routes = [Route("/one", length, methods=["POST"]), Route("/many", length, methods=["POST"])]
    app = install(Starlette(routes=routes), body_limit=LIMIT, large=LargeBodies("/many", LARGE, 1))
    found: dict[str, list[tuple[int, str]]] = {}

    def note(name: str, answer: httpx.Response) -> None:
        text = answer.text if answer.status_code == 200 else json.loads(answer.text)["error"]["code"]
        found.setdefault(name, []).append((answer.status_code, text))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=JSON) as client:
        for size in (LIMIT, LIMIT + 1):
            note("one", await client.post("/one", content=b"0" * size))
        for size in (LIMIT + 1, LARGE, LARGE + 1):
            note("many", await client.post("/many", content=b"0" * size))
        waiting = asyncio.create_task(client.post("/many", content=b'"wait"'))
        await asyncio.wait_for(entered.wait(), 10)
        busy = await client.post("/many", content=b"0")
        assert int(busy.headers["retry-after"]) > 0
        note("busy", busy)
        note("busy", await client.post("/one", content=b"0"))
        go_on.set()
        note("busy", await waiting)
        note("busy", await client.post("/many", content=b"0"))
    return found


def test_the_batch_has_a_size_and_a_number_of_its_own() -> None:
    found = asyncio.run(ask())
    assert found["one"] == [(200, "1000"), (413, "body_too_large")]
    assert found["many"] == [(200, "1001"), (200, "50000"), (413, "body_too_large")]
    assert found["busy"] == [(429, "too_many_requests"), (200, "1"), (200, "6"), (200, "1")]
