"""The signals in an answer: the four as ever, the extras where they are sent, and how many they amount to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import small_histories

from features.errors import BundleError, HistoryError
from features.history import History
from features.signals import SIGNALS, table
from serving.bundle import Bundle
from serving.predictor import Predictor
from serving.schemas import Answer, PredictRequest
from serving.window import window_request

EXTRAS = {signal.name: signal.inputs for signal in SIGNALS if signal.extra}
FOUR = tuple(signal.name for signal in SIGNALS if not signal.extra)
Body = dict[str, Any]


@pytest.fixture(scope="module")
def plain() -> History:
    """A market without a column that an extra reads."""
    history = small_histories()[0]
    return replace(history, frame=history.frame.drop(columns=["liq_long_usd", "liq_short_usd"]))


def with_extras(history: History, last: float = 1.0) -> History:
    """The market with all extras; the last day's values multiplied."""
    rng = np.random.default_rng(4)
    days = np.arange(len(history)) // history.per_day
    columns = {}
    for names in EXTRAS.values():
        for name in names:
            columns[name] = rng.lognormal(2, 0.3, days[-1] + 1)[days]
            columns[name][-5 * history.per_day :] *= last if name != "liq_short_usd" else 1.0
    return replace(history, frame=history.frame.assign(**columns))


def ask(predictor: Predictor, body: Body) -> Answer:
    request = PredictRequest.model_validate(body)
    return predictor.predict(request, now=pd.Timestamp(body["time"][-1], unit="ms", tz="UTC"))


def newest(predictor: Predictor, history: History, back: int = 0) -> Body:
    return window_request(history.window(len(history) - 1 - back, predictor.manifest.window_bars))


@pytest.mark.parametrize("back", [0, 400, 1100])
def test_without_extras_an_answer_is_what_it_is_where_there_are_none(
    predictor: Predictor, plain: History, back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = newest(predictor, plain, back)
    answer = ask(predictor, body).model_dump(mode="json")
    monkeypatch.setattr(table, "SIGNALS", tuple(one for one in SIGNALS if not one.extra))
    four = ask(predictor, body).model_dump(mode="json")
    assert [one["name"] for one in four["signals"]] == list(FOUR)
    assert answer["available"] <= 4
    assert json.dumps(answer) == json.dumps(four)


def test_extras_of_a_request_are_served_with_value_and_threshold(
    predictor: Predictor, plain: History
) -> None:
    answer = ask(predictor, newest(predictor, with_extras(plain)))
    read = {one.name: one for one in answer.signals}
    assert list(read) == [signal.name for signal in SIGNALS]
    assert answer.available == sum(one.state != "missing" for one in answer.signals) == 7
    for name in EXTRAS:
        assert read[name].state != "missing"
        assert read[name].value is not None
        assert read[name].threshold is not None
    assert answer.effective_signals is not None
    assert 4 < answer.effective_signals < 7


def test_bearish_extras_confirm_a_bear_and_are_named(predictor: Predictor, plain: History) -> None:
    """Longs liquidated, puts bought, coins sent to exchanges: three that agree, whatever the four say."""
    answer = ask(predictor, newest(predictor, with_extras(plain, last=9.0)))
    read = {one.name: one.state for one in answer.signals}
    assert {read[name] for name in EXTRAS} == {"bearish"}
    (said,) = [text for text in answer.reasons if "available signals are bearish" in text]
    assert "liquidations, put call, whale flows" in said
    assert said.endswith("; 3 or more confirm a bear.")
    bullish = ask(predictor, newest(predictor, with_extras(plain, last=0.1)))
    assert {one.name: one.state for one in bullish.signals}["put_call"] == "bullish"
    assert "3 or more confirm" not in " ".join(bullish.reasons)


@pytest.mark.parametrize(
    ("change", "available"),
    [
        (lambda body: body, 7),
        (lambda body: body | {"put_call": [None] * len(body["time"])}, 6),
        (lambda body: body | {"put_call": [*body["put_call"][:-1], None]}, 6),
        (lambda body: body | {"put_call": [None] * (len(body["time"]) - 1) + [0.7]}, 6),
        (lambda body: {name: value for name, value in body.items() if name != "liq_short_usd"}, 6),
        (lambda body: {name: value for name, value in body.items() if "liq_" not in name}, 6),
    ],
)
def test_an_extra_that_is_not_there_is_not_counted(
    predictor: Predictor, plain: History, change: Callable[[Body], Body], available: int
) -> None:
    answer = ask(predictor, change(newest(predictor, with_extras(plain))))
    assert answer.available == available
    assert answer.effective_signals is not None
    assert answer.effective_signals < available
    json.loads(answer.model_dump_json(), parse_constant=pytest.fail)


def test_price_alone_has_no_effective_number(predictor: Predictor, plain: History) -> None:
    body = newest(predictor, plain)
    kept = ("symbol", "interval", "as_of", "time", "open", "high", "low", "close", "volume")
    answer = ask(predictor, {name: body[name] for name in kept})
    assert (answer.available, answer.effective_signals) == (1, None)


@pytest.mark.parametrize(("column", "value"), [("put_call", -0.1), ("liq_long_usd", -1.0), ("put_call", 2e6)])
def test_a_value_that_cannot_be_meant_is_refused(
    predictor: Predictor, plain: History, column: str, value: float
) -> None:
    body = newest(predictor, with_extras(plain))
    body[column][7] = value
    with pytest.raises(HistoryError) as refused:
        ask(predictor, body)
    assert (refused.value.code, refused.value.field) == ("bad_value", f"{column}[7]")


def test_a_replayed_row_has_the_signals_of_its_window_to_the_bit(
    predictor: Predictor, plain: History
) -> None:
    history = with_extras(plain)
    ratio = history.column("put_call").copy()
    ratio[-200:-190] = np.nan
    history = replace(history, frame=history.frame.assign(put_call=ratio))
    rows = list(predictor.replay(history, history.time[-260], None))
    for place in (0, 59, 65, 80, 259):
        row = rows[place].answer
        assert row is not None
        answer = ask(predictor, newest(predictor, history, 259 - place))
        assert answer.model_dump() == row.model_dump()
        assert row.effective_signals is not None
    assert rows[65].answer is not None
    assert rows[65].answer.available == 6
    assert len({row.answer.effective_signals for row in rows if row.answer}) > 20


def test_a_window_too_short_for_the_signals_is_refused_at_load(predictor: Predictor) -> None:
    bundle = Bundle(predictor.bundle.folder)
    bundle.manifest = bundle.manifest.model_copy(update={"window_bars": 654})
    with pytest.raises(BundleError, match="window has 654 bars, the signals look back over 655"):
        Predictor(bundle)
    bundle.manifest = bundle.manifest.model_copy(update={"window_bars": 655})
    Predictor(bundle)
