"""The service under load: right answers below its capacity, 429 above it, and no memory kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from live_fixtures import served, workers
from service_fixtures import Served
from small_training import LONG, Trained, small_histories

from serving.predictor import Predictor
from serving.window import window_request

WITHIN = 4
AT_ONCE = 8
ABOVE = 48
WARM_SECONDS = 60.0 if LONG else 4.0
SECONDS = 600.0 if LONG else 10.0
ABOVE_SECONDS = 60.0 if LONG else 3.0
GROWTH = 1.02 if LONG else 1.05
"""Of memory after warming up; in ten seconds allocators are not yet at rest."""
JSON = {"content-type": "application/json"}


@dataclass
class Seen:
    """What came back."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    bodies: set[bytes] = field(default_factory=set)
    without_retry: int = 0
    lost: int = 0

    def quantile(self, share: float) -> float:
        """Seconds within which so many answers came."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


@pytest.fixture(scope="module")
def body(trained: Trained) -> bytes:
    history = small_histories()[0]
    bars = Predictor.load(trained.bundle).manifest.window_bars
    return orjson.dumps(window_request(history.window(len(history) - 1, bars)))


@pytest.fixture(scope="module")
def service(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings: dict[str, str] = {
        "BUNDLE": str(trained.bundle),
        "WORKERS": "2",
        "THREADS": "1",
        "MAX_CONCURRENCY": str(2 * AT_ONCE),  # over all workers
    }
    with served(tmp_path_factory.mktemp("load"), settings=settings) as process:
        process.wait_for("/readyz", 200)
        yield process


async def load(url: str, body: bytes, clients: int, seconds: float) -> Seen:
    """Clients that ask without a pause, each over a connection of its own."""
    seen = Seen()
    until = time.monotonic() + seconds

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            while time.monotonic() < until:
                began = time.perf_counter()
                try:
                    answer = await client.post("/v1/predict", content=body, headers=JSON)
                except httpx.TransportError:
                    seen.lost += 1
                    continue
                seen.statuses[answer.status_code] = seen.statuses.get(answer.status_code, 0) + 1
                if answer.status_code == 200:
                    seen.seconds.append(time.perf_counter() - began)
                    seen.bodies.add(answer.content)
                elif "retry-after" not in answer.headers:
                    seen.without_retry += 1

    await asyncio.gather(*(ask() for _ in range(clients)))
    return seen


def memory(process: Served) -> int:
    return sum(one.memory_full_info().uss for one in workers(process))


def test_below_capacity_all_are_answered_alike_and_no_memory_is_kept(
    service: Served, body: bytes, record_property: Any
) -> None:
    asyncio.run(load(service.url, body, WITHIN, WARM_SECONDS))
    before = memory(service)
    seen = asyncio.run(load(service.url, body, WITHIN, SECONDS))
    after = memory(service)
    record_property("answers", len(seen.seconds))
    record_property("p50_ms", round(seen.quantile(0.5) * 1e3, 1))
    record_property("p99_ms", round(seen.quantile(0.99) * 1e3, 1))
    record_property("memory_growth", round(after / before - 1, 4))
    assert seen.lost == 0
    assert set(seen.statuses) == {200}
    assert len(seen.seconds) > SECONDS
    assert len(seen.bodies) == 1  # one question, one answer, whichever worker gives it
    assert seen.quantile(0.99) < 5
    assert after < GROWTH * before, (before, after)
    print(f"\n{len(seen.seconds) / SECONDS:.0f}/s, p50 {seen.quantile(0.5) * 1e3:.1f} ms, ", end="")
    print(f"p99 {seen.quantile(0.99) * 1e3:.1f} ms, memory {after / before - 1:+.2%}")


def test_above_capacity_what_is_too_much_is_a_429_and_nothing_else(service: Served, body: bytes) -> None:
    seen = asyncio.run(load(service.url, body, ABOVE, ABOVE_SECONDS))
    assert seen.lost == 0
    assert set(seen.statuses) == {200, 429}
    assert seen.without_retry == 0
    assert len(seen.bodies) == 1
    assert httpx.post(
        f"{service.url}/v1/predict", content=body, headers=JSON, trust_env=False, timeout=30
    ).is_success
    assert {one.is_running() for one in workers(service)} == {True}
