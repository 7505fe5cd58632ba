"""Each check: when it warns, when it is bad, and what it says."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from features.regimes import REGIMES
from serving.predictor import Predictor
from training.health.checks import Check, worst
from training.health.examinations import (
    age_check,
    data_checks,
    drift_checks,
    performance_checks,
    registry_check,
    unusual_checks,
)
from training.health.limits import HealthLimits
from training.health.market_now import MovedFeature, SymbolDrift, SymbolNow
from training.health.performance import Recent

NOW = pd.Timestamp("2024-03-01", tz="UTC")
LIMITS = HealthLimits()
NAN = float("nan")


def symbol(name: str = "BTCUSDT", **changes: Any) -> SymbolNow:
    content: dict[str, Any] = {
        "symbol": name,
        "last_bar": NOW,
        "funding_known": True,
        "open_interest_known": True,
        "drift": (drift(), drift(days=90)),
        "unusual": {7: (0, 28), 30: (0, 120)},
    }
    return SymbolNow(**content | changes)


def drift(**changes: Any) -> SymbolDrift:
    content: dict[str, Any] = {
        "days": 30,
        "rows": 120,
        "share": 0.02,
        "usual": 0.1,
        "largest": 0.3,
        "largest_excess": 2.0,
        "worst": (MovedFeature("return_1d", 1.0, 2.0),),
    }
    return SymbolDrift(**content | changes)


def recent(**changes: Any) -> Recent:
    content: dict[str, Any] = {
        "since": NOW - pd.Timedelta(days=120),
        "until": NOW - pd.Timedelta(days=30),
        "rows": 360,
        "spells": 12,
        "expected_log_loss": 0.6,
        "realised_log_loss": 0.6,
        "gap": 0.0,
        "coverage": 0.9,
        "set_size": 1.6,
        "recall": dict.fromkeys(REGIMES, 0.6),
        "spells_of": dict.fromkeys(REGIMES, 6),
    }
    return Recent(**content | changes)


@pytest.mark.parametrize(
    ("age", "state"), [(-3.0, "warn"), (0.0, "ok"), (65.0, "ok"), (66.0, "warn"), (191.0, "bad")]
)
def test_the_age_of_the_model(predictor: Predictor, age: float, state: str) -> None:
    assert age_check(predictor.manifest, age).state == state


def test_the_registry() -> None:
    assert registry_check(None).state == "ok"
    assert registry_check("the alias names nothing") == Check("registry", "warn", "the alias names nothing")


@pytest.mark.parametrize(
    ("hours", "interval", "state"),
    [
        (0.5, "1h", "ok"),
        (3.0, "1h", "ok"),
        (3.5, "1h", "warn"),
        (25.0, "1h", "bad"),
        (11.0, "4h", "ok"),
        (25.0, "4h", "bad"),
        (70.0, "1d", "ok"),
        (73.0, "1d", "warn"),
        (145.0, "1d", "bad"),
    ],
)
def test_the_age_of_the_data_is_measured_in_bars(hours: float, interval: str, state: str) -> None:
    one = symbol(last_bar=NOW - pd.Timedelta(hours=hours))
    (check,) = data_checks([one], [], NOW, interval, LIMITS)
    assert check.state == state
    assert f"{hours:.1f} h old" in check.words


def test_what_is_missing_at_the_newest_bar_is_named() -> None:
    checks = data_checks(
        [symbol(funding_known=False, open_interest_known=False)], ["ETHUSDT"], NOW, "1h", LIMITS
    )
    assert [check.state for check in checks] == ["warn", "warn"]
    assert "no funding and no open interest at it" in checks[0].words
    assert checks[1].name == "data_ETHUSDT"


@pytest.mark.parametrize(
    ("shares", "state"),
    [((0.02, 0.1), "ok"), ((0.02, 0.11), "warn"), ((0.31, 0.0), "bad"), ((NAN, 0.02), "ok")],
)
def test_the_symbol_that_drifted_most_decides(shares: tuple[float, float], state: str) -> None:
    symbols = [
        symbol(name, drift=(drift(share=share),))
        for name, share in zip(("BTCUSDT", "ETHUSDT"), shares, strict=True)
    ]
    (check,) = drift_checks(symbols)
    assert check.state == state
    assert "return_1d" in check.words


def test_one_feature_that_moved_further_than_any_in_training_is_a_warning() -> None:
    gone = drift(worst=(MovedFeature("interest_change_1d", 6.0, 1.0),))
    (check,) = drift_checks([symbol(drift=(drift(),)), symbol("ETHUSDT", drift=(gone,))])
    assert check.state == "warn"
    assert "interest_change_1d of ETHUSDT, 6.00 (limit 1.00), further than any feature" in check.words


def test_drift_that_cannot_be_told_says_why() -> None:
    short = drift(share=NAN, rows=7, worst=())
    (check,) = drift_checks([symbol(drift=(short,))])
    assert (check.state, check.words) == ("unknown", "7 rows are too few for a window of 30 days")
    never = drift(share=NAN, usual=1.0, largest=1.0, worst=())
    assert "too few windows of 30 days" in drift_checks([symbol(drift=(never,))])[0].words


@pytest.mark.parametrize(("rows", "state"), [(0, "ok"), (2, "ok"), (3, "warn"), (27, "bad")])
def test_unusual_rows_of_all_symbols_together(rows: int, state: str) -> None:
    symbols = [symbol(unusual={7: (0, 140), 30: (rows, 140)}), symbol("ETHUSDT")]
    week, month = unusual_checks(symbols, LIMITS)
    assert week.state == "ok"
    assert month.state == state
    assert f"{rows} of 260 rows" in month.words


def test_no_row_to_judge() -> None:
    assert {c.state for c in unusual_checks([symbol(unusual={7: (0, 0), 30: (0, 0)})], LIMITS)} == {"unknown"}


@pytest.mark.parametrize(("gap", "state"), [(-0.5, "ok"), (0.15, "ok"), (0.16, "warn"), (0.25, "bad")])
def test_a_loss_above_what_was_expected(gap: float, state: str) -> None:
    check = performance_checks(recent(gap=gap), {}, LIMITS)[0]
    assert (check.name, check.state) == ("log_loss", state)
    assert "12 spells" in check.words


@pytest.mark.parametrize(("coverage", "state"), [(1.0, "ok"), (0.83, "ok"), (0.82, "warn"), (0.74, "bad")])
def test_sets_that_held_the_truth_too_rarely(coverage: float, state: str) -> None:
    assert performance_checks(recent(coverage=coverage), {}, LIMITS)[1].state == state


def test_recall_is_judged_by_that_of_the_walk_and_only_with_enough_spells() -> None:
    before = {f"oos/recall_{name}": 0.7 for name in REGIMES}
    found = recent(recall=dict.fromkeys(REGIMES, 0.6) | {"relief_rally": 0.4})
    check = performance_checks(found, before, LIMITS)[2]
    assert check.state == "warn"
    assert "relief rally 40% (walk 70%, 6 spells) fallen" in check.words
    assert performance_checks(recent(), before, LIMITS)[2].state == "ok"
    few = recent(recall=dict.fromkeys(REGIMES, 0.0), spells_of=dict.fromkeys(REGIMES, 4))
    assert performance_checks(few, before, LIMITS)[2].state == "unknown"
    assert performance_checks(found, {}, LIMITS)[2].state == "unknown"


def test_without_a_confirmed_label_nothing_is_said() -> None:
    assert {check.state for check in performance_checks(None, {}, LIMITS)} == {"unknown"}


def test_the_worst_state_decides_and_the_unknown_does_not() -> None:
    ok, unknown = Check("a", "ok", ""), Check("b", "unknown", "")
    warn, bad = Check("c", "warn", ""), Check("d", "bad", "")
    assert worst([]) == worst([unknown]) == worst([ok, unknown]) == "ok"
    assert worst([ok, warn, unknown]) == "warn"
    assert worst([bad, warn, ok]) == "bad"
