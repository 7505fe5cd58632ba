"""Many windows at once, answered as if each had come alone."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from small_training import small_histories

from features.errors import BearmodeError
from features.history import History
from serving.batch import _Asked, _runs, _values, answer_batch
from serving.batch_answer import read_batch, results_of
from serving.predictor import Predictor
from serving.question import question_of
from serving.schemas import Answer, PredictRequest
from serving.window import window_request

NOW = pd.Timestamp("2023-03-16", tz="UTC")


@pytest.fixture(scope="module")
def histories() -> dict[str, History]:
    return {history.symbol: history for history in small_histories()}


def body_of(history: History, predictor: Predictor, back: int = 0, **changes: Any) -> dict[str, Any]:
    window = history.window(len(history) - 1 - back, predictor.manifest.window_bars)
    return window_request(window) | changes


def alone(predictor: Predictor, body: dict[str, Any]) -> str:
    try:
        return predictor.predict(PredictRequest.model_validate(body), now=NOW).model_dump_json()
    except BearmodeError as error:
        return f"{error.code} {error.field} {error.message}"


def shown(found: Answer | BearmodeError) -> str:
    if isinstance(found, Answer):
        return found.model_dump_json()
    return f"{found.code} {found.field} {found.message}"


def test_answers_are_those_of_single_requests_to_the_bit(
    predictor: Predictor, histories: dict[str, History]
) -> None:
    btc, eth = histories["SIMBTC"], histories["SIMETH"]
    account = {
        "equity": 10_000.0,
        "position": {"side": "short", "notional": 2e3, "entry": 2e4, "leverage": 3.0},
    }
    bodies = [
        body_of(btc, predictor, 3),
        body_of(eth, predictor, 250),  # its window holds the missing bars
        body_of(btc, predictor),
        body_of(btc, predictor, 3),  # the same once more
        body_of(btc, predictor, 1, account=account),
        body_of(btc, predictor, 2, as_of=int(NOW.timestamp() * 1e3) + 86_400_000 * 400),
        body_of(eth, predictor, 258),
        body_of(btc, predictor, 90),  # too far to be worth a run with the others
    ]
    short = body_of(btc, predictor)
    bodies.append({name: value[5:] if isinstance(value, list) else value for name, value in short.items()})
    revised = body_of(btc, predictor, 4)
    revised["close"] = [*revised["close"][:-9], revised["low"][-9], *revised["close"][-8:]]
    bodies.append(revised)  # overlaps with the others, and says otherwise
    requests = [PredictRequest.model_validate(body) for body in bodies]
    found = answer_batch(predictor, requests, now=NOW)
    assert [shown(one) for one in found] == [alone(predictor, body) for body in bodies]
    assert isinstance(found[8], BearmodeError)
    assert found[8].code == "window_too_short"


def test_windows_that_overlap_are_one_run(predictor: Predictor, histories: dict[str, History]) -> None:
    btc, eth = histories["SIMBTC"], histories["SIMETH"]
    bodies = [
        *(body_of(btc, predictor, back) for back in range(5)),
        *(body_of(eth, predictor, back) for back in (0, 1)),
        body_of(btc, predictor, 500),
    ]
    revised = body_of(btc, predictor)
    revised["volume"] = [value and 2 * value for value in revised["volume"]]
    bodies.append(revised)
    asked = []
    for place, body in enumerate(bodies):
        question = question_of(PredictRequest.model_validate(body), predictor.manifest, now=NOW)
        asked.append(_Asked(place, question, _values(question.history)))
    runs = _runs(asked, predictor)
    assert sorted(len(run.asked) for run in runs) == [1, 1, 2, 5]
    five = max(runs, key=lambda run: len(run.asked))
    assert len(five.history) == predictor.manifest.window_bars + 4
    pd.testing.assert_frame_equal(
        five.history.frame, btc.frame.iloc[-len(five.history) :], check_freq=False, check_names=False
    )


def test_one_that_is_wrong_stops_no_other(predictor: Predictor, histories: dict[str, History]) -> None:
    good = body_of(histories["SIMBTC"], predictor)
    bodies = [good | {"close": [0.0, *good["close"][1:]]}, good, {"symbol": "x"}, good | {"interval": "1h"}]
    windows = read_batch(json.dumps({"windows": bodies}).encode(), 4_000_000)
    answer = results_of(predictor, windows, now=NOW)
    assert [one.index for one in answer.results] == [0, 1, 2, 3]
    assert (answer.answered, answer.refused, answer.model_version) == (1, 3, predictor.version)
    errors = [None if one.error is None else (one.error.code, one.error.field) for one in answer.results]
    assert errors[0] == ("bad_price", "close[0]")
    assert errors[1] is None
    assert errors[2] is not None
    assert errors[3] == ("wrong_interval", "interval")
    assert answer.results[1].answer is not None


def test_a_failure_of_our_own_is_named_without_its_text(
    predictor: Predictor, histories: dict[str, History], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [body_of(histories[name], predictor) for name in ("SIMBTC", "SIMETH")]
    real = Predictor._answer

    def broken(self: Predictor, symbol: str, *rest: Any, **more: Any) -> Answer:
        if symbol == "SIMETH":
            raise RuntimeError("secret of the model")
        return real(self, symbol, *rest, **more)

    monkeypatch.setattr(Predictor, "_answer", broken)
    first, second = answer_batch(predictor, [PredictRequest.model_validate(body) for body in bodies], now=NOW)
    assert isinstance(first, Answer)
    assert isinstance(second, BearmodeError)
    assert second.code == "internal"
    assert "secret" not in second.message
