"""A batch of one window a symbol for one account is a portfolio; anything less is none."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from small_training import small_histories

from serving.batch_answer import read_batch, results_of
from serving.correlations import correlations_of, daily_closes
from serving.portfolio import portfolio_of
from serving.predictor import Predictor
from serving.schemas import Account
from serving.window import window_request

NOW = pd.Timestamp("2023-03-15T02:00", tz="UTC")
ACCOUNT = {"equity": 10_000.0, "risk_per_trade": 0.02}


@pytest.fixture(scope="module")
def bodies(predictor: Predictor) -> list[dict[str, Any]]:
    """One window of each symbol, for one account."""
    return [
        window_request(one.window(len(one) - 1, predictor.manifest.window_bars)) | {"account": ACCOUNT}
        for one in small_histories()
    ]


def answered(predictor: Predictor, bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of a batch, off the wire and back."""
    read = read_batch(json.dumps({"windows": bodies}).encode(), 4_000_000)
    found: dict[str, Any] = results_of(predictor, read, now=NOW).model_dump(mode="json")
    return found


def test_the_portfolio_is_that_of_its_answers(predictor: Predictor, bodies: list[dict[str, Any]]) -> None:
    found = answered(predictor, bodies)
    assert found["answered"] == len(bodies) == 2
    advices = {
        body["symbol"]: predictor.answer(
            one,
            as_of=pd.Timestamp(body["as_of"], unit="ms", tz="UTC"),
            account=Account.model_validate(body["account"]),
        ).advice
        for one, body in zip(small_histories(), bodies, strict=True)
    }
    closes = {
        body["symbol"]: pd.Series(body["close"], index=pd.to_datetime(body["time"], unit="ms", utc=True))
        for body in bodies
    }
    expected = portfolio_of(advices, 10_000.0, correlations_of(daily_closes(closes)))
    assert found["portfolio"] == expected.model_dump(mode="json")
    assert {*found["portfolio"]["aside"], *(one["symbol"] for one in found["portfolio"]["holdings"])} == {
        "SIMBTC",
        "SIMETH",
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda first, _second: [first],
        lambda first, second: [first, {**second, "account": {**ACCOUNT, "equity": 5_000.0}}],
        lambda first, second: [first, {name: one for name, one in second.items() if name != "account"}],
        lambda first, second: [first, {**second, "symbol": first["symbol"]}],
        lambda first, second: [first, {**second, "close": []}],
        lambda first, second: [first, second, {**second, "symbol": "SIMSOL", "account": {"equity": 0}}],
        lambda first, second: [first, {**second, "as_of": second["as_of"] + 3_600_000}],
    ],
    ids=["one", "two equities", "no account", "a symbol twice", "refused", "refused account", "two moments"],
)
def test_what_is_no_portfolio_is_null(
    change: Any, predictor: Predictor, bodies: list[dict[str, Any]]
) -> None:
    assert answered(predictor, change(*bodies))["portfolio"] is None
