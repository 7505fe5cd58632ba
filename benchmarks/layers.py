"""What guard, security headers, metrics and the line of a request cost: processor time of one request.

The application behind them does nothing, so that the figures are the layers' own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

REQUESTS = 3_000
ROUNDS = 5
BODY = b"{}" * 2_000


def main() -> None:
    """Print the figures; the least of some rounds, since a busy machine only adds to them."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        # Counted as in a real worker: in files that are mapped into memory.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        logging.basicConfig(stream=nowhere, level=logging.INFO)
        headers, found = variants(Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(ROUNDS):
            for name, app in found.items():
                seconds[name].append(asyncio.run(measured(app, headers)))
        bare = min(seconds["limits and one shape of errors"])
        for name, times in seconds.items():
            print(f"{name:<48} {min(times) * 1e6:6.0f} us, {(min(times) - bare) * 1e6:+6.0f} us")


def variants(folder: Path) -> tuple[list[tuple[bytes, bytes]], dict[str, Starlette]]:
    """Headers of the request, and the applications by what stands around them."""
    from serving.layers import with_layers  # noqa: PLC0415
    from serving.safety import add_key  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415
    from serving.watching import Watch, metrics  # noqa: PLC0415
    from serving.web import install  # noqa: PLC0415
    from serving.web_errors import error_for_status  # noqa: PLC0415

    keys = folder / "keys.json"
    key = add_key(keys, "desk", per_minute=1e6)
    watch = Watch(metrics())

    def layered(**settings: Any) -> Starlette:
        loaded = ServingSettings.load(rate_burst=1e6, **settings)
        return with_layers(
            application(), loaded, watch=lambda: watch, not_ready=lambda: error_for_status(503)
        )

    headers = [(b"content-type", b"application/json"), (b"host", b"127.0.0.1"), (b"x-api-key", key.encode())]
    return headers, {
        "limits and one shape of errors": install(application()),
        "and guard, headers, metrics, one line": layered(),
        "and a key with its rate": layered(keys=keys),
    }


def application() -> Starlette:
    """As many routes as the service has, one of which is asked."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(b"x" * 5_000, media_type="application/json")

    others = [Route(f"/v1/route{number}/{{symbol}}", answer) for number in range(15)]
    return Starlette(routes=[*others, Route("/v1/predict", answer, methods=["POST"])])


async def measured(app: Starlette, headers: list[tuple[bytes, bytes]]) -> float:
    """Processor seconds of one request, on average."""
    for _ in range(200):
        await ask(app, headers)
    began = time.process_time()
    for _ in range(REQUESTS):
        await ask(app, headers)
    return (time.process_time() - began) / REQUESTS


async def ask(app: Starlette, headers: list[tuple[bytes, bytes]]) -> None:
    """One request, its answer thrown away."""

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"answered {message['status']}")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "raw_path": b"/v1/predict",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "server": ("127.0.0.1", 3000),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)


if __name__ == "__main__":
    main()
