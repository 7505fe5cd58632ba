"""The prediction log beside confirmed labels: which rows count, and what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan, log
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import small_histories

from features.history import History
from features.regimes import REGIMES, hindsight_regimes
from serving.watching.prediction_files import SCHEMA
from training.health import HealthLimits
from training.health.examinations import served_checks
from training.health.served import Served, served_performance

ANSWERED = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def history() -> History:
    return small_histories()[0]


def row(history: History, bar: int, regime: int, sure: float = 0.7, **changes: Any) -> dict[str, Any]:
    """An answered bar that gives one regime a probability, and the others the rest."""
    rest = (1 - sure) / 3
    given = {
        "answered_at": ANSWERED,
        "source": "request",
        "symbol": history.symbol,
        "interval_ms": 4 * 3_600_000,
        "time": history.time[bar],
        "model_version": "aaaa",
        "in_sample": False,
        "regime": REGIMES[regime],
        **{f"p_{name}": sure if index == regime else rest for index, name in enumerate(REGIMES)},
    }
    return given | changes


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=SCHEMA.names)
    for name in ("time", "answered_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[ms, UTC]")
    return frame.astype({"in_sample": bool})


def labels(history: History) -> np.ndarray[Any, np.dtype[np.int64]]:
    return hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)


def test_right_and_wrong_answers_are_told_apart(history: History) -> None:
    label = labels(history)
    bars = np.flatnonzero(label >= 0)[[10, 500, 900]].tolist()
    right, wrong = int(label[bars[0]]), (int(label[bars[1]]) + 1) % 4
    rows = [
        row(history, bars[0], right, 0.7),
        row(history, bars[1], wrong, 0.7),
        row(history, len(history) - 1, 0),
    ]
    (one,) = served_performance(table(*rows), [history])
    assert (one.version, one.bars, one.confirmed) == ("aaaa", 3, 2)
    assert one.accuracy == 0.5
    assert one.expected_accuracy == pytest.approx(0.7)
    assert one.log_loss == pytest.approx(-(log(0.7) + log(0.1)) / 2)
    expected = -(0.7 * log(0.7) + 3 * 0.1 * log(0.1))
    assert one.expected_log_loss == pytest.approx(expected)
    assert one.gap == pytest.approx(one.log_loss - expected)
    assert one.until == history.time[-1]


def test_a_bar_counts_once_and_the_store_speaks_for_it(history: History) -> None:
    bar = int(np.flatnonzero(labels(history) >= 0)[50])
    right = int(labels(history)[bar])
    rows = [row(history, bar, (right + 1) % 4) for _ in range(5)]
    rows.append(row(history, bar, right, source="live", answered_at=ANSWERED.replace(year=2031)))
    (one,) = served_performance(table(*rows), [history])
    assert (one.bars, one.confirmed, one.accuracy) == (1, 1, 1.0)


def test_bars_that_the_model_had_seen_and_other_markets_do_not_count(history: History) -> None:
    bar = int(np.flatnonzero(labels(history) >= 0)[50])
    rows = [
        row(history, bar, 0, in_sample=True),
        row(history, bar, 0, symbol="OTHER"),
        row(history, bar, 0, interval_ms=86_400_000),
        row(history, bar, 0, time=history.time[-1] + pd.Timedelta(hours=1)),
        row(history, bar, 0, time=history.time[bar] + pd.Timedelta(minutes=1)),
    ]
    assert served_performance(table(*rows), [history]) == []
    assert served_performance(table(), [history]) == []


def test_each_bundle_is_judged_by_its_own_answers(history: History) -> None:
    bars = np.flatnonzero(labels(history) >= 0)[:400]
    rows = []
    for number, bar in enumerate(bars.tolist()):
        right = int(labels(history)[bar])
        version = "old" if number < 200 else "new"
        rows.append(row(history, bar, right if version == "new" else (right + 2) % 4, model_version=version))
    old, new = served_performance(table(*rows), [history])
    assert (old.version, old.accuracy, new.version, new.accuracy) == ("old", 0.0, "new", 1.0)
    assert old.until < new.since


def served(**changes: Any) -> Served:
    moment = pd.Timestamp("2024-01-01", tz="UTC")
    given: dict[str, Any] = {"since": moment, "until": moment, "bars": 100, "confirmed": 80, "spells": 9}
    given |= {"accuracy": 0.8, "expected_accuracy": 0.8, "log_loss": 0.5, "expected_log_loss": 0.5}
    return Served(version="aaaa", **(given | changes))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "ok"),
        ({"log_loss": 0.7}, "warn"),
        ({"log_loss": 0.8}, "bad"),
        ({"log_loss": 0.8, "spells": 4}, "unknown"),
        ({"confirmed": 0, "log_loss": float("nan")}, "unknown"),
    ],
)
def test_the_check_of_the_champion(changes: dict[str, Any], state: str) -> None:
    (check,) = served_checks([served(**changes)], "aaaa", HealthLimits())
    assert (check.name, check.state) == ("served", state)
    assert served_checks([served(**changes)], "bbbb", HealthLimits()) == []
    assert isnan(served(log_loss=float("nan")).gap)
