"""Token buckets: their arithmetic, and workers that share them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.safety.rate_limit import RateLimit

SHARED = """
import sys; from pathlib import Path
from serving.safety.rate_limit import RateLimit
limit = RateLimit(Path(sys.argv[1]))
print(sum(limit.wait("desk", per_minute=1e-3, burst=500) == 0 for _ in range(400)))
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_empties_and_comes_back() -> None:
    clock = Clock()
    limit = RateLimit(clock=clock)
    taken = [limit.wait("desk", per_minute=60, burst=3) for _ in range(5)]
    assert taken == [0, 0, 0, 1, 1]
    clock.now += 0.75
    assert limit.wait("desk", per_minute=60, burst=3) == pytest.approx(0.25)
    clock.now += 0.25
    assert limit.wait("desk", per_minute=60, burst=3) == 0
    clock.now += 1e6
    assert [limit.wait("desk", per_minute=60, burst=3) for _ in range(4)] == [0, 0, 0, 1]


@given(
    steps=st.lists(st.floats(0, 3), min_size=1, max_size=100),
    per_minute=st.floats(1, 600),
    burst=st.integers(1, 20),
)
def test_never_more_than_burst_and_rate(steps: list[float], per_minute: float, burst: int) -> None:
    clock = Clock()
    limit = RateLimit(clock=clock)
    began, taken = clock.now, 0
    for step in steps:
        clock.now += step
        wait = limit.wait("desk", per_minute=per_minute, burst=burst)
        taken += wait == 0
        assert 0 <= wait <= 60 / per_minute + 1e-6
        assert taken <= burst + (clock.now - began) * per_minute / 60 + 1e-6


def test_a_clock_that_began_anew_does_not_lock_out(tmp_path: Path) -> None:
    clock = Clock()
    RateLimit(tmp_path, clock=clock).wait("desk", per_minute=60, burst=2)
    clock.now = 1.0
    assert RateLimit(tmp_path, clock=clock).wait("desk", per_minute=60, burst=2) <= 1


def test_workers_share_a_bucket(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", SHARED, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    assert sum(int(worker.communicate(timeout=60)[0]) for worker in workers) == 500
