"""Accounts that the exchange would not allow, and an account's way through a whole request."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from small_training import small_histories

from features.errors import DataError
from serving.position import check_account
from serving.predictor import Predictor
from serving.schemas import Account, PredictRequest
from serving.window import window_request

POSITION = {"side": "short", "notional": 20_000.0, "entry": 40_000.0, "leverage": 5.0}


@pytest.mark.parametrize(
    ("symbol", "account", "code", "field", "words"),
    [
        (
            "DOGEUSDT",
            {"equity": 4e6, "leverage_cap": 5.0},
            "leverage_cap_above_tier",
            "account.leverage_cap",
            "leverage_cap is 5, binance allows 4 for 20,000,000 of DOGEUSDT",
        ),
        (
            "DOGEUSDT",
            {"equity": 1e6, "position": POSITION | {"notional": 8.1e7, "leverage": 1.0}},
            "position_beyond_tiers",
            "account.position.notional",
            "is 81,000,000, the last tier of DOGEUSDT on binance ends at 80,000,000",
        ),
        (
            "BTCUSDT",
            {"equity": 1e6, "position": POSITION | {"notional": 60_000.0, "leverage": 101.0}},
            "leverage_above_tier",
            "account.position.leverage",
            "leverage is 101, binance allows 100 for 60,000",
        ),
        (
            "BTCUSDT",
            {"equity": 1e6, "position": POSITION | {"paid": 4_000.0}},
            "no_margin_left",
            "account.position.paid",
            "paid is 4,000.00, the position's margin was 4,000.00",
        ),
    ],
)
def test_what_the_exchange_would_not_allow_is_refused(
    symbol: str, account: dict[str, Any], code: str, field: str, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        check_account(symbol, Account.model_validate(account))
    assert (caught.value.code, caught.value.field) == (code, field)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("symbol", "account"),
    [
        ("DOGEUSDT", {"equity": 4e6}),  # nobody asked for that cap
        ("DOGEUSDT", {"equity": 4e6, "leverage_cap": 4.0}),
        ("DOGEUSDT", {"equity": 1e6, "position": POSITION | {"notional": 8e7, "leverage": 1.0}}),
        ("PEPEUSDT", {"equity": 1e15, "leverage_cap": 5.0, "position": POSITION | {"leverage": 150.0}}),
        ("BTCUSDT", {"equity": 1e6, "exchange": "okx", "position": POSITION | {"notional": 1e15}}),
        ("BTCUSDT", {"equity": 1e6, "position": POSITION | {"paid": 3_999.0}}),
    ],
)
def test_what_is_allowed_or_not_known_passes(symbol: str, account: dict[str, Any]) -> None:
    check_account(symbol, Account.model_validate(account))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"equity": 0.0}, "equity"),
        ({"equity": -5.0}, "equity"),
        ({"equity": 1e3, "risk_per_trade": 0.03}, "risk_per_trade"),
        ({"equity": 1e3, "risk_per_trade": 0.0}, "risk_per_trade"),
        ({"equity": 1e3, "leverage_cap": 6.0}, "leverage_cap"),
        ({"equity": 1e3, "exchange": "kraken"}, "exchange"),
        ({"equity": 1e3, "position": POSITION | {"paid": float("nan")}}, "paid"),
        ({"equity": 1e3, "position": POSITION | {"leverage": 151.0}}, "leverage"),
    ],
)
def test_numbers_out_of_bounds_name_their_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Account.model_validate(wrong)
    assert caught.value.errors()[0]["loc"][-1] == field


def test_a_request_with_an_account_is_answered_in_money(predictor: Predictor) -> None:
    history = small_histories()[0]
    body = window_request(history.window(len(history) - 1, predictor.manifest.window_bars))
    now = pd.Timestamp(body["time"][-1], unit="ms", tz="UTC")

    def ask(**account: Any) -> Any:
        request = PredictRequest.model_validate(body | {"account": account})
        return predictor.predict(request, now=now)

    close = body["close"][-1]
    position = POSITION | {"entry": close, "notional": 1_000.0}
    answer = ask(equity=10_000.0, position=position)
    advice = answer.advice
    assert advice.position is not None
    assert advice.position.margin_left == pytest.approx(200.0)
    for path in ("notional", "margin"):
        value = getattr(advice, path)
        assert value is None or value > 0
        assert (value is None) == (path in advice.withheld)
    with pytest.raises(DataError) as caught:
        ask(equity=10_000.0, position=position | {"paid": 200.0})
    assert caught.value.code == "no_margin_left"
