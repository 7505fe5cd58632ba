"""Margin brackets: asked with a key, read as they are, refused in words, secrets kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from exchange_trials import QUICK, utc
from fake_exchange import Fake, Fault, start_fake

from features.errors import BearmodeError
from features.sources.exchange.brackets import (
    KEY_SETTING,
    SECRET_SETTING,
    Bracket,
    ExchangeKey,
    fetch_brackets,
)

PATH = "/fapi/v1/leverageBracket"
KEY = ExchangeKey("the-key-itself", "the-secret-itself")


def row(floor: float, cap: float, leverage: int, rate: float, amount: float) -> dict[str, float]:
    return {
        "bracket": 1,
        "initialLeverage": leverage,
        "notionalCap": cap,
        "notionalFloor": floor,
        "maintMarginRatio": rate,
        "cum": amount,
    }


BODY = [
    {
        "symbol": "BTCUSDT",
        "brackets": [row(50_000, 600_000, 100, 0.005, 50.0), row(0, 50_000, 125, 0.004, 0.0)],
    },
    {"symbol": "BTCUSDC", "brackets": [row(0, 1_000, 20, 0.02, 0.0)]},
    {"symbol": "BTCUSDT_250328", "brackets": [row(0, 1_000, 20, 0.02, 0.0)]},
]


@pytest.fixture
def fake() -> Iterator[Fake]:
    with start_fake({}, now=utc("2024-06-01")) as server:
        yield server


def test_brackets_are_those_of_usdt_perpetuals_smallest_first(fake: Fake) -> None:
    fake.faults = [Fault(PATH, status=200, body=json.dumps(BODY))]
    found = fetch_brackets(KEY, url=fake.url, patience=QUICK)
    assert found == {
        "BTCUSDT": [Bracket(0, 50_000, 125, 0.004, 0.0), Bracket(50_000, 600_000, 100, 0.005, 50.0)]
    }
    ((path, query),) = fake.asked
    assert path == PATH
    assert {"timestamp", "signature"} <= set(query)
    assert KEY.secret not in str(query)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}', "refuses the margin"),
        (
            451,
            '{"code":0,"msg":"Service unavailable from a restricted location"}',
            "does not serve this place",
        ),
        (200, '{"symbols": []}', "of no use"),
        (200, '[{"symbol": "BTCUSDT", "brackets": [{"bracket": 1}]}]', "it has not the known form"),
        (200, "<html>sign in</html>", "a web page"),
    ],
)
def test_an_answer_that_is_none_is_one_clear_error(fake: Fake, status: int, body: str, message: str) -> None:
    fake.faults = [Fault(PATH, status=status, body=body)]
    with pytest.raises(BearmodeError) as caught:
        fetch_brackets(KEY, url=fake.url, patience=QUICK)
    assert message in caught.value.message
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.one_line()


def test_no_secret_is_in_an_error(fake: Fake) -> None:
    """Not in one that quotes the answer, nor in one that quotes the request."""
    echoed = json.dumps({"code": -1, "msg": f"bad key {KEY.key} {KEY.secret}"})
    fake.faults = [Fault(PATH, status=400, body=echoed)]
    with pytest.raises(BearmodeError) as refused:
        fetch_brackets(KEY, url=fake.url, patience=QUICK)
    fake.faults = [Fault(PATH, drop=True)]
    with pytest.raises(BearmodeError) as dropped:
        fetch_brackets(KEY, url=fake.url, patience=QUICK)
    for caught in (refused, dropped):
        text = caught.value.one_line()
        assert KEY.key not in text
        assert KEY.secret not in text
        assert "signature=" not in text.replace("signature=...", "")
        assert caught.value.__cause__ is None
    assert KEY.secret not in repr(KEY)
    assert KEY.key not in repr(KEY)


@pytest.mark.parametrize(
    ("given", "missing"), [({}, f"{KEY_SETTING}, {SECRET_SETTING}"), ({KEY_SETTING: "k"}, SECRET_SETTING)]
)
def test_without_a_key_it_says_what_is_not_set(
    given: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KEY_SETTING, SECRET_SETTING):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BearmodeError, match=f"not set: {missing}$") as caught:
        ExchangeKey.from_environment()
    assert (caught.value.code, caught.value.exit_code) == ("no_exchange_key", 1)
    monkeypatch.setenv(KEY_SETTING, "k")
    monkeypatch.setenv(SECRET_SETTING, "s")
    assert ExchangeKey.from_environment() == ExchangeKey("k", "s")
