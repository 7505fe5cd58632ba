from __future__ import annotations

import random

import pandas as pd
import pytest

from serving.live.schedule import JumpWatch, Schedule, wall_clock

HOUR = pd.Timedelta(hours=1)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-01-01 {text}", tz="UTC")


def new(jitter: float = 0.0, retry: float = 15.0) -> Schedule:
    return Schedule(HOUR, 20.0, jitter, retry, random.Random(5))


def test_the_first_time_is_at_once_and_then_after_each_close() -> None:
    schedule = new()
    assert schedule.is_due(at("10:30"))
    schedule.finished(at("10:30"), complete=True)
    assert not schedule.is_due(at("11:00:19"))
    assert schedule.is_due(at("11:00:20"))
    schedule.finished(at("11:00:24"), complete=True)
    assert schedule.next_at(at("11:00:24")) == at("12:00:20")


def test_a_run_that_ends_right_after_a_close_does_not_skip_that_bar() -> None:
    schedule = new()
    schedule.finished(at("11:00:05"), complete=True)
    assert schedule.next_at(at("11:00:05")) == at("11:00:20")


def test_the_jitter_is_drawn_within_its_bounds() -> None:
    found = set()
    for seed in range(30):
        schedule = Schedule(HOUR, 20.0, 10.0, 15.0, random.Random(seed))
        schedule.finished(at("10:30"), complete=True)
        found.add(schedule.next_at(at("10:30")))
    assert at("11:00:20") <= min(found) < max(found) <= at("11:00:30")


def test_what_failed_is_repeated_later_and_later_but_never_after_the_next_close() -> None:
    schedule, now, waits = new(retry=100.0), at("10:01"), []
    for _ in range(6):
        schedule.finished(now, complete=False)
        waits.append((schedule.next_at(now) - now).total_seconds())
        now = schedule.next_at(now)
    assert 80 <= waits[0] <= 120
    assert 160 <= waits[1] <= 240 <= waits[2]
    assert max(waits) <= 360
    schedule.finished(at("10:58"), complete=False)
    assert schedule.next_at(at("10:58")) <= at("11:00:20")
    schedule.finished(at("11:00:30"), complete=True)
    schedule.finished(at("11:00:40"), complete=False)
    assert (schedule.next_at(at("11:00:40")) - at("11:00:40")).total_seconds() <= 120


def test_a_clock_that_was_set_back_does_not_stop_the_updates() -> None:
    schedule = new()
    schedule.finished(at("10:30"), complete=True)
    earlier = at("10:30") - pd.Timedelta(days=3)
    assert schedule.next_at(earlier) == at("11:00:20") - pd.Timedelta(days=3)


def test_a_clock_that_was_set_forth_asks_at_once_and_once() -> None:
    schedule = new()
    schedule.finished(at("10:30"), complete=True)
    later = at("10:30") + pd.Timedelta(days=3)
    assert schedule.is_due(later)
    schedule.finished(later, complete=True)
    assert not schedule.is_due(later)


@pytest.mark.parametrize(
    ("jump", "seen"), [(0.0, None), (2.0, None), (3_600.0, 3_600.0), (-86_400.0, -86_400.0)]
)
def test_a_jump_is_where_the_clocks_part(jump: float, seen: float | None) -> None:
    wall, mark = [at("10:00")], [50.0]
    watch = JumpWatch(lambda: wall[0], lambda: mark[0])
    wall[0] += pd.Timedelta(seconds=7 + jump)
    mark[0] += 7
    found = watch.look()
    assert (None if found is None else found.seconds) == seen
    assert watch.look() is None


def test_a_simulated_clock_runs_faster() -> None:
    clock = wall_clock(at("10:00"), 3_600.0)
    first = clock()
    assert at("10:00") <= first < at("23:00")
    while clock() < first + pd.Timedelta(minutes=5):
        pass
    assert JumpWatch(clock, speed=3_600.0).look() is None
