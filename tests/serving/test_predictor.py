"""A window's answer: what is refused, what is degraded by name, what it depends on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from small_training import GAP, small_histories

from features.errors import DataError, HistoryError
from features.history import History
from features.regimes import REGIMES
from serving.bundle import Bundle
from serving.predictor import Predictor
from serving.schemas import Answer, PredictRequest
from serving.window import window_request

STEP = 4 * 3_600_000
Body = dict[str, Any]


@pytest.fixture(scope="module")
def history() -> History:
    return small_histories()[0]


@pytest.fixture
def body(predictor: Predictor, history: History) -> Body:
    """A request with everything in it, before any hole."""
    end = int((history.time < pd.Timestamp("2023-01-10", tz="UTC")).sum()) - 1
    return window_request(history.window(end, predictor.manifest.window_bars))


def ask(predictor: Predictor, body: Body) -> Answer:
    request = PredictRequest.model_validate(body)
    return predictor.predict(request, now=pd.Timestamp(body["time"][-1], unit="ms", tz="UTC"))


def bar_columns(body: Body) -> list[str]:
    return [name for name, values in body.items() if isinstance(values, list)]


def without_bars(body: Body, rows: list[int]) -> Body:
    """The same request with some bars left out."""
    gone = set(np.arange(len(body["time"]))[rows].tolist())
    return body | {
        name: [value for row, value in enumerate(body[name]) if row not in gone] for name in bar_columns(body)
    }


def emptied(body: Body, rows: list[int]) -> Body:
    """The same request with all values of some bars null."""
    gone = set(np.arange(len(body["time"]))[rows].tolist())
    return body | {
        name: [None if row in gone else value for row, value in enumerate(body[name])]
        for name in bar_columns(body)
        if name != "time"
    }


def core(answer: Answer) -> Body:
    return answer.model_dump(mode="json", exclude={"degraded", "reasons"})


def test_an_undisturbed_window_is_degraded_by_its_simulated_model_alone(
    predictor: Predictor, body: Body
) -> None:
    answer = ask(predictor, body)
    assert set(answer.degraded) <= {"model_trained_on_simulated_data", "unknown_margin_tier"}
    assert "model_trained_on_simulated_data" in answer.degraded
    assert answer.available == 5  # the four, and liquidations, which this market has
    assert answer.model.version == predictor.version
    p = answer.probabilities
    assert p.bear + p.ranging + p.relief_rally + p.bull == pytest.approx(1.0)
    assert answer.valid_until - answer.as_of == pd.Timedelta(hours=4)


def unsorted(body: Body) -> Body:
    time = list(body["time"])
    time[5], time[6] = time[6], time[5]
    return body | {"time": time}


def double(body: Body) -> Body:
    time = list(body["time"])
    time[6] = time[5]
    return body | {"time": time}


def with_value(name: str, row: int, value: float | None) -> Callable[[Body], Body]:
    def change(body: Body) -> Body:
        values = list(body[name])
        values[row] = value
        return body | {name: values}

    return change


def hourly(body: Body) -> Body:
    last = body["time"][-1]
    return body | {"time": [last - 3_600_000 * k for k in range(len(body["time"]))][::-1]}


REFUSED: list[tuple[str, Callable[[Body], Body], str, str]] = [
    ("too short", lambda b: without_bars(b, [0]), "window_too_short", "time"),
    ("one bar", lambda b: without_bars(b, list(range(1, len(b["time"])))), "window_too_short", "time"),
    ("other interval", lambda b: b | {"interval": "1h"}, "wrong_interval", "interval"),
    ("hourly spacing", hourly, "wrong_interval", "time"),
    ("last bar missing", lambda b: emptied(b, [-1]), "last_bar_missing", "close"),
    ("too many missing", lambda b: emptied(b, list(range(100, 110))), "too_many_missing_bars", "time"),
    ("too many left out", lambda b: without_bars(b, list(range(100, 110))), "too_many_missing_bars", "time"),
    ("later than as_of", lambda b: b | {"as_of": b["time"][-1] - 1}, "future_time", "time"),
    ("unsorted", unsorted, "unsorted_time", "time[6]"),
    ("double", double, "double_time", "time[6]"),
    (
        "off the grid",
        lambda b: b | {"time": [t + 60_000 for t in b["time"]], "as_of": None},
        "wrong_interval",
        "time[0]",
    ),
    ("negative price", with_value("close", 17, -1.0), "bad_price", "close[17]"),
    ("no close alone", with_value("close", 17, None), "bad_price", "close[17]"),
    ("infinite price", with_value("high", 3, math.inf), "bad_price", "high[3]"),
    ("high below low", with_value("high", 17, 1.0), "high_below_low", "high[17]"),
    ("negative volume", with_value("volume", 9, -1.0), "bad_volume", "volume[9]"),
    ("infinite funding", with_value("funding_rate", 9, math.inf), "bad_value", "funding_rate[9]"),
]


@pytest.mark.parametrize(
    ("change", "code", "field"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_a_window_that_breaks_a_rule_is_refused_with_code_field_and_reason(
    predictor: Predictor, body: Body, change: Callable[[Body], Body], code: str, field: str
) -> None:
    with pytest.raises(DataError) as refused:
        ask(predictor, change(body))
    assert refused.value.code == code
    assert (refused.value.field or "").startswith(field)
    assert refused.value.status == 422
    assert refused.value.message


def test_the_refusal_of_a_short_window_says_how_many_bars_are_needed(
    predictor: Predictor, body: Body
) -> None:
    needed = predictor.manifest.window_bars
    with pytest.raises(DataError, match=f"has {needed - 1} bars, this model needs {needed}") as refused:
        ask(predictor, without_bars(body, [0]))
    assert "window_bars" in (refused.value.hint or "")


DEGRADED: list[tuple[str, Callable[[Body], Body], set[str]]] = [
    (
        "no open interest",
        lambda b: {k: v for k, v in b.items() if k != "open_interest"},
        {"open_interest_missing", "open_interest_features_incomplete"},
    ),
    (
        "open interest null",
        lambda b: b | {"open_interest": [None] * len(b["time"])},
        {"open_interest_missing", "open_interest_features_incomplete"},
    ),
    (
        "no funding",
        lambda b: {k: v for k, v in b.items() if not k.startswith("funding")},
        {"funding_missing", "funding_features_incomplete"},
    ),
    ("funding stops", with_value("funding_rate", -1, None), {"funding_missing"}),
    ("unknown symbol", lambda b: b | {"symbol": "NEWUSDT"}, {"unknown_symbol"}),
    ("context", lambda b: b | {"context": {"BTCUSDT": {"time": [], "close": []}}}, {"context_not_used"}),
    ("a missing bar", lambda b: without_bars(b, [300]), {"missing_bars"}),
    ("a null bar", lambda b: emptied(b, [300]), {"missing_bars"}),
    ("stale", lambda b: b | {"as_of": b["time"][-1] + STEP}, {"stale_window"}),
]


@pytest.mark.parametrize(("change", "names"), [one[1:] for one in DEGRADED], ids=[one[0] for one in DEGRADED])
def test_what_is_missing_is_answered_and_named(
    predictor: Predictor, body: Body, change: Callable[[Body], Body], names: set[str]
) -> None:
    plain = set(ask(predictor, body).degraded)
    degraded = set(ask(predictor, change(body)).degraded)
    assert names <= degraded
    assert not names & plain
    assert len(degraded) == len(ask(predictor, change(body)).degraded)  # each is named once


def test_null_and_left_out_are_the_same(predictor: Predictor, body: Body) -> None:
    rows = [300, 301, 555]
    assert ask(predictor, emptied(body, rows)) == ask(predictor, without_bars(body, rows))
    assert core(ask(predictor, emptied(body, rows))) != core(ask(predictor, body))


def test_one_moment_before_it_closes_a_window_is_not_stale(predictor: Predictor, body: Body) -> None:
    late = ask(predictor, body | {"as_of": body["time"][-1] + STEP - 1})
    assert "stale_window" not in late.degraded


def test_an_old_model_says_so_and_holds_back(predictor: Predictor, body: Body) -> None:
    years = 5 * 365 * 86_400_000
    answer = ask(predictor, body | {"as_of": body["time"][-1] + years})
    assert answer.model.state == "expired"
    assert {"model_expired", "stale_window"} <= set(answer.degraded)
    assert answer.advice.leverage <= 1.0
    assert core(answer)["probabilities"] == core(ask(predictor, body))["probabilities"]


def test_a_simulated_model_gives_a_real_symbol_at_most_one(predictor: Predictor, body: Body) -> None:
    answer = ask(predictor, body | {"symbol": "BTCUSDT"})
    assert answer.advice.leverage_short <= 1.0
    assert answer.advice.leverage_long <= 1.0
    assert "unknown_margin_tier" not in answer.degraded  # but its margin is known, unlike a made-up one's
    assert "unknown_margin_tier" in ask(predictor, body | {"symbol": "NEWUSDT"}).degraded


def test_a_longer_window_is_cut_to_the_same_answer(
    predictor: Predictor, history: History, body: Body
) -> None:
    needed = predictor.manifest.window_bars
    end = int(np.flatnonzero(history.time == pd.Timestamp(body["time"][-1], unit="ms", tz="UTC"))[0])
    exact = ask(predictor, body)
    for more in (1, 37, 500):
        longer = ask(predictor, window_request(history.window(end, needed + more)))
        assert longer == exact
    holes = emptied(window_request(history.window(end, needed + 500)), list(range(400)))
    assert ask(predictor, holes) == exact  # what lies before the window cannot refuse it


def test_without_as_of_now_stands_in(predictor: Predictor, body: Body) -> None:
    request = PredictRequest.model_validate(body | {"as_of": None})
    last = pd.Timestamp(body["time"][-1], unit="ms", tz="UTC")
    assert predictor.predict(request, now=last) == ask(predictor, body)
    with pytest.raises(DataError, match="later than as_of"):
        predictor.predict(request, now=last - pd.Timedelta(seconds=1))


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("open_interest",),
        ("funding_rate", "funding_interval_hours"),
        ("funding_rate", "funding_interval_hours", "open_interest", "volume", "fear_greed"),
    ],
)
def test_an_answer_is_json_without_nan(predictor: Predictor, body: Body, names: tuple[str, ...]) -> None:
    def refused(constant: str) -> None:
        raise AssertionError(f"the answer holds {constant}")

    empty = body | {name: [None] * len(body["time"]) for name in names}
    answer = ask(predictor, emptied(empty, [200]))
    for text in (json.dumps(answer.model_dump(mode="json")), answer.model_dump_json()):
        json.loads(text, parse_constant=refused)
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_asking_twice_or_after_another_gives_the_same(
    predictor: Predictor, body: Body, history: History
) -> None:
    before = ask(predictor, body)
    ask(predictor, window_request(history.window(2000, predictor.manifest.window_bars)))
    assert ask(predictor, body) == before


def test_an_answer_says_how_long_it_has_held_and_what_would_flip_it(predictor: Predictor, body: Body) -> None:
    answer = ask(predictor, body)
    assert sorted([answer.regime, *(one.to for one in answer.flips)]) == sorted(REGIMES)
    needs = [one.needs for one in answer.flips]
    assert needs == sorted(needs)
    assert needs[0] >= 0
    held = answer.as_of - answer.since
    assert held <= predictor.manifest.decision.smoothing_bars * pd.Timedelta(hours=4)
    assert any(f"{held / pd.Timedelta(days=1):.1f} days" in reason for reason in answer.reasons) or held < (
        pd.Timedelta(days=1)
    )
    assert f"What would change it first: {answer.flips[0].words}." in answer.reasons


def test_a_wider_margin_is_farther_from_flipping_by_just_that(predictor: Predictor, body: Body) -> None:
    slow = Predictor(Bundle(predictor.bundle.folder))
    rule = slow.manifest.decision
    wider = rule.model_copy(update={"margin": rule.margin + 0.1, "rally_margin": rule.rally_margin + 0.1})
    slow.bundle.manifest = slow.manifest.model_copy(update={"decision": wider})
    near, far = ask(predictor, body), ask(slow, body)
    assert far.regime == near.regime  # or the comparison shows nothing
    lacking = {one.to: one.lacking_cost for one in near.flips}
    for one in far.flips:
        assert one.lacking_cost == pytest.approx(lacking[one.to] + 0.1)


def test_the_prediction_set_follows_the_thresholds_of_the_bundle(predictor: Predictor, body: Body) -> None:
    other = Predictor(Bundle(predictor.bundle.folder))
    sizes = []
    for threshold in (0.0, 0.5, 1.0):
        sets = predictor.manifest.decision.sets.model_copy(update={"thresholds": (threshold,) * 4})
        decision = predictor.manifest.decision.model_copy(update={"sets": sets})
        other.bundle.manifest = predictor.manifest.model_copy(update={"decision": decision})
        answer = ask(other, body)
        sizes.append(len(answer.prediction_set))
        probabilities = [getattr(answer.probabilities, name) for name in answer.prediction_set]
        assert "regime_lags" in answer.degraded or probabilities == sorted(probabilities, reverse=True)
    assert sizes == sorted(sizes)
    assert (sizes[0] <= 2, sizes[-1]) == (True, 4)


@pytest.mark.parametrize("index", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_replayed_row_is_the_answer_to_its_window(predictor: Predictor, index: int) -> None:
    """To the last bit, at sampled bars and at every bar around the holes."""
    history = small_histories()[index]
    needed = predictor.manifest.window_bars
    first = needed - 30
    rows = list(predictor.replay(history, history.time[first], None))
    assert [row.time for row in rows] == list(history.time[first:])
    gap = int((history.time < GAP).sum())
    sampled = {*range(0, 40), *range(40, len(rows), 83), *range(gap - first - 3, gap - first + 8)}
    reasons, answers = set(), 0
    for place in sorted(sampled):
        row, end = rows[place], first + place
        window = history.window(end, needed)
        if row.answer is None:
            reasons.add(row.reason)
            with pytest.raises(DataError) as refused:
                predictor.answer(window)
            assert refused.value.code == row.reason
        else:
            assert row.reason is None
            assert predictor.answer(window) == row.answer
            asked = ask(predictor, window_request(window))
            assert asked.model_dump() == row.answer.model_dump()
            answers += 1
    assert answers > 40
    assert reasons == ({"window_too_short"} if index == 0 else {"window_too_short", "last_bar_missing"})


def test_a_replay_of_an_empty_span_has_no_rows(predictor: Predictor, history: History) -> None:
    after = history.time[-1] + pd.Timedelta(days=1)
    assert list(predictor.replay(history, after, None)) == []
    assert list(predictor.replay(history, history.time[9], history.time[9])) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("open_interest", 0.0),
        ("open_interest", -1.0),
        ("funding_rate", 50.0),
        ("funding_rate", -0.11),
        ("funding_interval_hours", -8.0),
        ("funding_interval_hours", 0.0),
    ],
)
def test_a_joined_value_that_cannot_be_meant_is_refused(
    predictor: Predictor, body: Body, column: str, value: float
) -> None:
    values = list(body[column])
    values[7] = value
    request = PredictRequest.model_validate(body | {column: values})
    with pytest.raises(HistoryError) as caught:
        predictor.predict(request, now=pd.Timestamp("2030-01-01", tz="UTC"))
    assert (caught.value.code, caught.value.field) == ("bad_value", f"{column}[7]")


@pytest.mark.parametrize("value", ["1.0", True, "NaN"])
def test_a_number_is_a_number(body: Body, value: object) -> None:
    with pytest.raises(ValidationError):
        PredictRequest.model_validate(body | {"close": [value, *body["close"][1:]]})


def test_a_regime_that_lags_behind_a_jump_stands_aside(predictor: Predictor, body: Body) -> None:
    """The answered regime is always in the prediction set; where it was added, leverage is 0 by name."""
    slow = Predictor(Bundle(predictor.bundle.folder))
    narrow = slow.manifest.decision.sets.model_copy(update={"thresholds": (0.3,) * 4})
    decision = slow.manifest.decision.model_copy(update={"margin": 1.2, "rally_margin": 1.2, "sets": narrow})
    slow.bundle.manifest = slow.manifest.model_copy(update={"decision": decision})
    lagged = 0
    for factor in (0.25, 0.4, 2.5, 4.0):
        jumped = dict(body)
        for name in ("open", "high", "low", "close"):
            jumped[name] = [*body[name][:-2], *(value * factor for value in body[name][-2:])]
        answer = ask(slow, jumped)
        assert answer.regime in answer.prediction_set
        if "regime_lags" in answer.degraded:
            lagged += 1
            assert answer.advice.leverage_short == answer.advice.leverage_long == 0
            assert {cut.name: cut.factor for cut in answer.advice.haircuts}["regime_lags"] == 0
    assert lagged, "no jump outran the smoothing: the test shows nothing"


def test_a_market_calmer_than_any_seen_counts_as_the_calmest_seen(predictor: Predictor, body: Body) -> None:
    calm = dict(body)
    start = body["close"][0]
    for name in ("open", "high", "low", "close"):
        calm[name] = [start * (value / start) ** 1e-3 for value in body[name]]
    answer = predictor.predict(PredictRequest.model_validate(calm), now=pd.Timestamp("2030", tz="UTC"))
    assert "volatility_below_training" in answer.degraded
    steps = {step.name: step.value for step in answer.advice.calculation}
    assert steps["volatility_day"] == predictor.manifest.advice.volatility_floor > 0


def test_a_hole_before_the_window_costs_nothing(predictor: Predictor, body: Body) -> None:
    """A stray bar of 1970 is cut off, not filled up to."""
    stray = {name: [values[0], *values] for name, values in body.items() if isinstance(values, list)}
    stray["time"] = [0, *body["time"]]
    answer = predictor.predict(
        PredictRequest.model_validate(body | stray), now=pd.Timestamp("2030", tz="UTC")
    )
    plain = predictor.predict(PredictRequest.model_validate(body), now=pd.Timestamp("2030", tz="UTC"))
    assert answer == plain
