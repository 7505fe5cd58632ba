"""Delays, missed turns and false switches: by hand, and against slow loops over every bar."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from features.errors import DataError
from training.evaluation import Delay, hindsight_turns, switches_per_year, turns

IntArray = npt.NDArray[np.integer[Any]]
START = pd.Timestamp("2022-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
BEAR, RANGING, RELIEF, BULL = range(4)


def hours(count: int, step: int = 1) -> pd.DatetimeIndex:
    return pd.date_range(START, periods=count, freq=f"{step}h")


def spelled(*runs: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Regimes from (regime, bars)."""
    return np.concatenate([np.full(bars, regime) for regime, bars in runs]).astype(np.int64)


def one(count: int) -> npt.NDArray[np.int64]:
    return np.zeros(count, dtype=np.int64)


def test_delays_by_hand() -> None:
    truth = spelled((BEAR, 10), (RELIEF, 10), (BEAR, 10), (BULL, 10), (BEAR, 5), (RANGING, 10), (BEAR, 10))
    # Relief is answered 4 hours late, the bear after it at once, the bull never, the next bear too soon.
    answer = spelled((BEAR, 14), (RELIEF, 6), (BEAR, 34), (RANGING, 1), (BEAR, 10))
    found = turns(answer, truth, one(65), hours(65))
    assert found.delays == {
        "bear": [0.0, 0.0, 0.0],
        "ranging": [9 / 24],
        "relief_rally": [4 / 24],
        "bull": [],
    }
    assert (found.turns, found.missed, found.all.cut_off) == (6, 1, 0)
    assert found.by_class["bull"].missed == 1
    assert found.by_class["bull"].median_days is None
    assert found.by_class["bear"].already == 1  # only the one after the missed bull
    assert found.delay_median_days == 0.0
    assert found.delay_90_days == 9 / 24
    # Five turns answered: the fifth of six is the 90 % of all only if nobody is missed.
    assert found.all.all_90_days is None
    assert found.all.median_all_days == 0.0


def test_a_turn_is_missed_when_the_answer_comes_after_its_spell() -> None:
    truth = spelled((BEAR, 30), (RELIEF, 30), (BEAR, 40))
    answer = spelled((BEAR, 60), (RELIEF, 5), (BEAR, 35))
    found = turns(answer, truth, one(100), hours(100))
    assert found.by_class["relief_rally"].missed == 1
    assert found.false_switches == 0  # a few hours late is not invented


def test_spells_that_end_with_the_labels_are_cut_off_and_not_missed() -> None:
    truth = spelled((BEAR, 30), (RELIEF, 30), (-1, 40))
    never = spelled((BEAR, 100))
    late = spelled((BEAR, 50), (RELIEF, 50))
    afterwards = spelled((BEAR, 70), (RELIEF, 30))
    assert turns(never, truth, one(100), hours(100)).all == Delay.of(
        hindsight_turns(never, truth, one(100), hours(100))
    )
    for answer, expected in ((never, (0, 0, 1)), (late, (1, 0, 0)), (afterwards, (0, 0, 1))):
        found = turns(answer, truth, one(100), hours(100)).all
        assert (found.turns, found.missed, found.cut_off) == expected
    assert turns(late, truth, one(100), hours(100)).delay_median_days == pytest.approx(20 / 24)
    # The same at the end of the table, and where bars are missing for more than a day.
    short = slice(0, 60)
    found = turns(never[short], truth[short], one(60), hours(60)).all
    assert (found.missed, found.cut_off) == (0, 1)
    time = hours(60).union(hours(60) + 100 * HOUR)
    truth = spelled((BEAR, 30), (RELIEF, 30), (BEAR, 60))
    found = turns(np.zeros(120, dtype=np.int64), truth, one(120), time).all
    assert (found.turns, found.missed, found.cut_off) == (0, 0, 1)


def test_what_was_never_asked_is_no_turn_and_long_silence_decides_nothing() -> None:
    truth = spelled((BEAR, 20), (RELIEF, 20), (BEAR, 60), (BULL, 60), (BEAR, 40))
    answer = spelled((-1, 70), (BEAR, 130))
    found = turns(answer, truth, one(200), hours(200)).all
    assert (found.turns, found.missed, found.already) == (2, 1, 1)  # the two turns before 70 are not here
    silent = answer.copy()
    silent[101:130] = -1  # more than a day without an answer, inside the bull
    found = turns(silent, truth, one(200), hours(200)).all
    assert (found.turns, found.missed, found.cut_off) == (1, 0, 1)
    brief = answer.copy()
    brief[101:120] = -1
    assert turns(brief, truth, one(200), hours(200)).all.missed == 1
    # Who waits for an answer through an outage of some hours waits that long.
    waited = answer.copy()
    waited[98:110] = -1
    waited[110:150] = BULL
    assert turns(waited, truth, one(200), hours(200)).delays["bull"] == [pytest.approx(10 / 24)]


def test_a_span_keeps_answers_outside_it_out() -> None:
    truth = spelled((BEAR, 50), (BULL, 50), (BEAR, 50), (BULL, 50))
    found = turns(truth, truth, one(200), hours(200), (START + 60 * HOUR, START + 120 * HOUR))
    assert found.turns == 1
    assert found.delays["bear"] == [0.0]


def test_the_first_turn_may_be_on_the_first_answered_bar() -> None:
    truth = spelled((BEAR, 50), (BULL, 50))
    found = turns(truth, truth, one(100), hours(100), (START + 50 * HOUR, START + 100 * HOUR))
    assert found.delays["bull"] == [0.0]
    assert found.all.already == 0


def test_false_switches_by_hand() -> None:
    truth = spelled((BEAR, 200), (BULL, 200))
    answer = truth.copy()
    answer[90:93] = BULL  # a false switch to bull; back to bear is a true one
    answer[170:180] = BULL  # within three days of the bull: early, not invented
    answer[300] = RANGING  # false; back to bull is true
    found = turns(answer, truth, one(400), hours(400))
    assert found.false_switches == 2
    assert found.judged_switches == 7
    judged_hours = 400 - 1 - 2 * 0
    assert found.false_switches_per_year == pytest.approx(2 / (judged_hours / 8766))
    assert found.switches_per_year == pytest.approx(7 / (399 / 8766))
    assert found.true_switches_per_year == pytest.approx(1 / (399 / 8766))
    narrow = turns(answer, truth, one(400), hours(400), within_days=0.5)
    assert narrow.false_switches == 3


def test_switches_near_unlabelled_bars_are_not_judged() -> None:
    truth = spelled((BEAR, 200), (-1, 200))
    answer = truth.clip(0)
    answer[[50, 150, 250]] = BULL
    found = turns(answer, truth, one(400), hours(400))
    # Bars 129 and later have an unlabelled bar within 72 hours.
    assert (found.false_switches, found.judged_switches) == (1, 2)
    assert found.false_switches_per_year == pytest.approx(1 / (127 / 8766))


def test_agreement_nearby_by_hand() -> None:
    truth = spelled((BEAR, 100), (BULL, 100))
    answer = spelled((BEAR, 130), (BULL, 70))
    found = turns(answer, truth, one(200), hours(200)).agreement_within
    assert found == {"0": pytest.approx(170 / 200), "1": pytest.approx(194 / 200), "3": 1.0}


def test_nothing_answered_and_nothing_at_all() -> None:
    for count in (0, 50):
        found = turns(np.full(count, -1), spelled((BEAR, count)), one(count), hours(count))
        assert (found.turns, found.false_switches, found.agreement_within) == (0, 0, {})
        assert found.switches_per_year is found.delay_median_days is None
        assert "delay_median_days" not in found.metrics()


def test_bars_out_of_order_are_refused() -> None:
    y = spelled((BEAR, 4))
    with pytest.raises(DataError, match="not in order"):
        turns(y, y, one(4), hours(4)[::-1])
    with pytest.raises(DataError, match="not in order"):
        turns(y, y, np.array([0, 1, 0, 1]), hours(4))
    with pytest.raises(DataError, match="3 answers, 4 labels"):
        turns(y[:3], y, one(4), hours(4))


def oracle_turns(
    answer: IntArray, truth: IntArray, symbol: IntArray, time: pd.DatetimeIndex
) -> list[tuple[int, float | None, bool]]:
    """(regime, delay in days, cut off) by walking bar by bar."""
    day = pd.Timedelta(days=1)
    found: list[tuple[int, float | None, bool]] = []
    for i in range(1, len(truth)):
        if symbol[i] != symbol[i - 1] or time[i] - time[i - 1] > day:
            continue
        if truth[i] < 0 or truth[i - 1] < 0 or truth[i] == truth[i - 1]:
            continue
        mine = [j for j in range(len(truth)) if symbol[j] == symbol[i] and answer[j] >= 0]
        if not mine or not mine[0] <= i <= mine[-1]:
            continue
        delay, silent, quiet_since = None, False, None
        whole, j = True, i
        while True:
            if answer[j] < 0:
                quiet_since = j if quiet_since is None else quiet_since
                silent |= time[j] - time[quiet_since] > day
            else:
                quiet_since = None
            if answer[j] == truth[i]:
                delay = None if silent else (time[j] - time[i]) / day
                break
            if j + 1 == len(truth) or symbol[j + 1] != symbol[i] or time[j + 1] - time[j] > day:
                whole = False
                break
            if truth[j + 1] != truth[i]:
                whole = bool(truth[j + 1] >= 0)
                break
            j += 1
        found.append((int(truth[i]), delay, delay is None and (silent or not whole)))
    return found


def oracle_false(
    answer: IntArray, truth: IntArray, symbol: IntArray, time: pd.DatetimeIndex, days: float
) -> tuple[int, int]:
    """False and judged switches by looking at every pair of bars."""
    width = pd.Timedelta(days=days)
    false = judged = 0
    for s in np.unique(symbol):
        rows = [i for i in range(len(answer)) if symbol[i] == s]
        given = [i for i in rows if answer[i] >= 0]
        for a, b in pairwise(given):
            if answer[a] == answer[b] or time[b] - time[a] > pd.Timedelta(days=1):
                continue
            near = [int(truth[i]) for i in rows if abs(time[i] - time[b]) <= width]
            if min(near) < 0:
                continue
            judged += 1
            false += int(answer[b]) not in near
    return false, judged


@st.composite
def markets(draw: st.DrawFn) -> tuple[IntArray, IntArray, IntArray, pd.DatetimeIndex]:
    """Up to three symbols of 8-hourly bars with holes, spells of several lengths, patchy answers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts: list[tuple[IntArray, IntArray, IntArray, pd.DatetimeIndex]] = []
    for symbol in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 60))
        time = hours(count + 10, 8)[np.sort(rng.choice(count + 10, count, replace=False))]
        spells = draw(st.integers(1, 12))
        truth = np.repeat(rng.integers(-1, 4, count), rng.integers(1, spells + 1, count))[:count]
        answer = np.where(rng.random(count) < 0.5, truth, np.roll(truth, draw(st.integers(0, 5))))
        answer = np.where(rng.random(count) < draw(st.floats(0, 0.6)), -1, answer)
        parts.append((answer, truth, np.full(count, symbol), time))
    answers, truths, symbols, times = zip(*parts, strict=True)
    joined = times[0].append(list(times[1:]))
    return np.concatenate(answers), np.concatenate(truths), np.concatenate(symbols), joined


@settings(max_examples=1500 if LONG else 120, deadline=None)
@given(markets(), st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_turns_are_those_of_slow_loops(
    market: tuple[IntArray, IntArray, IntArray, pd.DatetimeIndex], days: float
) -> None:
    answer, truth, symbol, time = market
    found = hindsight_turns(answer, truth, symbol, time)
    assert [(one.regime, one.delay_days, one.cut_off) for one in found] == oracle_turns(
        answer, truth, symbol, time
    )
    whole = turns(answer, truth, symbol, time, within_days=days)
    assert (whole.false_switches, whole.judged_switches) == oracle_false(answer, truth, symbol, time, days)
    given_ = answer >= 0
    rate = switches_per_year(answer[given_], symbol[given_], time[given_])
    assert whole.switches_per_year == (None if np.isnan(rate) else rate)
    counted = sum(one.turns + one.cut_off for one in whole.by_class.values())
    assert counted == whole.all.turns + whole.all.cut_off == len(found)


def test_the_interval_of_a_median_holds_it() -> None:
    """Against order statistics by hand: 10 values, the 2nd and the 9th have 97.9 %."""
    truth, answer, runs = [], [], range(1, 11)
    for late in runs:
        truth += [(BEAR, 20), (BULL, 20)]
        answer += [(BEAR, 20 + late), (BULL, 20 - late)]
    count = 400
    found = turns(spelled(*answer), spelled(*truth), one(count), hours(count)).by_class["bull"]
    assert found.turns == 10
    assert found.median_days == pytest.approx(5 / 24)
    assert found.low_days == pytest.approx(2 / 24)
    assert found.high_days == pytest.approx(9 / 24)
