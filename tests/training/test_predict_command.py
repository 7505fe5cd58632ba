"""``predict`` with an account and several symbols; what no account can be, by command and by endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from small_training import Trained, small_histories, small_markets

from features.errors import BearmodeError, UsageError
from serving.correlations import correlations_of, daily_closes
from serving.portfolio import Portfolio, PortfolioCaps
from serving.predictor import Predictor
from serving.schemas import Account, Answer
from serving.window import window_request
from training.account_options import account_of, caps_of
from training.demo import serving
from training.predict_command import predict_command

AS_OF = "2023-03-14T20:00:00Z"
KNOWN = "BTCUSDT"
"""Has margin tiers, which simulated symbols have not."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated markets as files, the first one under the name of a real contract."""
    root = tmp_path_factory.mktemp("files")
    for name, market in zip((KNOWN, "SIMETH"), small_markets(), strict=True):
        own = root / name
        own.mkdir()
        market.bars.to_parquet(own / "bars_4h.parquet", index=False)
        for table in ("funding", "open_interest"):
            getattr(market, table).to_parquet(own / f"{table}.parquet", index=False)
    return root


@pytest.fixture(scope="module")
def client(trained: Trained) -> Iterator[httpx.Client]:
    with (
        serving(trained.bundle) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=20) as http,
    ):
        yield http


@pytest.fixture(scope="module")
def window(predictor: Predictor) -> dict[str, Any]:
    """A request that is right but for the account."""
    history = small_histories()[0]
    return window_request(history.window(len(history) - 1, predictor.manifest.window_bars)) | {
        "symbol": KNOWN
    }


def test_several_symbols_with_an_account_are_one_portfolio(
    trained: Trained, predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = account_of(10_000, risk_per_trade=0.02)
    caps = caps_of(0.01, None, None)
    file = tmp_path / "whole.json"
    predict_command("SIMBTC,SIMETH", trained.places, as_of=AS_OF, json=file, account=account, caps=caps)
    printed = capsys.readouterr()
    body = json.loads(printed.out)
    assert json.loads(file.read_text()) == body
    first, second = (Answer.model_validate(one) for one in body["answers"])
    assert (first.symbol, second.symbol) == ("SIMBTC", "SIMETH")
    assert first == predictor.answer(small_histories()[0], as_of=pd.Timestamp(AS_OF), account=account)
    assert body["refused"] == {}
    assert body["disclaimer"] in printed.err
    whole = Portfolio.model_validate(body["portfolio"])
    sized = {one.symbol: one.advice for one in (first, second) if one.advice.notional is not None}
    assert {one.symbol for one in whole.holdings} == set(sized)
    assert sized, "the small market has a side at this moment"
    assert whole.risk <= 10_000 * 0.01 * (1 + 1e-9)
    for one in whole.holdings:
        assert one.notional == pytest.approx(whole.factor * (sized[one.symbol].notional or 0))
        assert f"{one.symbol} {one.side}: {one.notional:,.2f} at" in printed.err
    assert "All together: " in printed.err


def test_the_correlation_is_that_of_the_days_until_the_moment(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two longs or two shorts whose correlation is known name no pair as assumed."""
    moment = pd.Timestamp("2022-09-01", tz="UTC")
    predict_command("SIMBTC,SIMETH", trained.places, as_of=moment.isoformat(), account=account_of(5_000))
    whole = Portfolio.model_validate(json.loads(capsys.readouterr().out)["portfolio"])
    closes = {one.symbol: one.frame["close"][one.time <= moment] for one in small_histories()}
    (known,) = correlations_of(daily_closes(closes)).values()
    assert whole.assumed_correlations == []
    if len(whole.holdings) == 2:
        a, b = whole.holdings
        sign = 1 if a.side == b.side else -1
        joint = np.sqrt(a.risk**2 + b.risk**2 + 2 * sign * known * a.risk * b.risk)
        assert whole.risk == pytest.approx(joint)


def test_without_equity_there_are_answers_and_no_portfolio(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_command("SIMBTC,SIMETH", trained.places, as_of=AS_OF)
    printed = capsys.readouterr()
    body = json.loads(printed.out)
    assert (len(body["answers"]), body["portfolio"]) == (2, None)
    assert "sizes need --equity" in printed.err


def test_a_symbol_without_an_answer_is_named_and_the_others_stand(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIMETH lacks the bar of that moment, SIMBTC has it."""
    predict_command("SIMBTC,SIMETH", trained.places, as_of="2023-02-01T01:00:00Z", account=account_of(1_000))
    printed = capsys.readouterr()
    body = json.loads(printed.out)
    assert [one["symbol"] for one in body["answers"]] == ["SIMBTC"]
    assert set(body["refused"]) == {"SIMETH"}
    assert body["refused"]["SIMETH"]["code"]
    assert "warning: SIMETH has no answer: " in printed.err
    with pytest.raises(BearmodeError):
        predict_command("SIMBTC,SIMETH", trained.places, as_of="2020-01-02")


def test_an_open_position_is_looked_at(
    trained: Trained, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    close = float(small_histories()[0].column("close")[-1])
    account = account_of(10_000, leverage_cap=3, position=f"short:2000:{close}:3:5")
    predict_command(KNOWN, trained.places, "files", folder, as_of="2023-03-15T00:00:00Z", account=account)
    advice = Answer.model_validate_json(capsys.readouterr().out).advice
    assert advice.leverage_cap <= 3
    assert advice.position is not None
    assert advice.position.margin_left == pytest.approx(2000 / 3 - 5)
    with pytest.raises(UsageError, match="several are named"):
        predict_command("SIMBTC,SIMETH", trained.places, account=account)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"equity": 0}, "account.equity"),
    ({"equity": -5}, "account.equity"),
    ({"equity": 1_000, "risk_per_trade": 0}, "account.risk_per_trade"),
    ({"equity": 1_000, "risk_per_trade": 0.021}, "account.risk_per_trade"),
    ({"equity": 1_000, "risk_per_trade": -0.01}, "account.risk_per_trade"),
    ({"equity": 1_000, "leverage_cap": 5.1}, "account.leverage_cap"),
    ({"equity": 1_000, "exchange": "kraken"}, "account.exchange"),
    ({"equity": 100_000_000, "leverage_cap": 5}, "account.leverage_cap"),
    ({"equity": 1_000, "position": ("short", 2e9, 30_000, 2)}, "account.position.notional"),
    ({"equity": 1_000, "position": ("short", 2e7, 30_000, 100)}, "account.position.leverage"),
    ({"equity": 1_000, "position": ("long", 2e3, 30_000, 2, 1_000)}, "account.position.paid"),
    ({"equity": 1_000, "position": ("up", 2e3, 30_000, 2)}, "account.position.side"),
]
CODES = {
    "leverage_cap": "leverage_cap_above_tier",
    "notional": "position_beyond_tiers",
    "leverage": "leverage_above_tier",
    "paid": "no_margin_left",
}
"""Codes of what only the exchange's tiers tell."""


def on_the_wire(account: dict[str, Any]) -> dict[str, Any]:
    position = account.get("position")
    names = ("side", "notional", "entry", "leverage", "paid")
    return account if position is None else account | {"position": dict(zip(names, position, strict=False))}


@pytest.mark.parametrize(("account", "field"), REFUSED)
def test_what_no_account_can_be_is_refused_by_endpoint_and_command(
    account: dict[str, Any],
    field: str,
    client: httpx.Client,
    window: dict[str, Any],
    trained: Trained,
    folder: Path,
) -> None:
    answer = client.post("/v1/predict", json=window | {"account": on_the_wire(account)})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert error["message"]
    position = account.get("position")
    with pytest.raises(BearmodeError) as caught:
        predict_command(
            KNOWN,
            trained.places,
            "files",
            folder,
            as_of="2023-03-15T00:00:00Z",
            account=account_of(
                account["equity"],
                account.get("risk_per_trade"),
                account.get("leverage_cap"),
                account.get("exchange"),
                None if position is None else ":".join(map(str, position)),
            ),
        )
    assert caught.value.exit_code in {1, 2}
    assert "\n" not in caught.value.one_line()
    if isinstance(caught.value, UsageError):  # seen before anything is loaded
        assert f"--{field.split('.')[1].replace('_', '-')} is" in caught.value.message
    else:
        assert (caught.value.code, caught.value.field) == (error["code"], field)
        assert error["code"] == CODES[field.rsplit(".", maxsplit=1)[-1]]


def test_the_same_account_without_its_fault_is_answered(client: httpx.Client, window: dict[str, Any]) -> None:
    right = {"equity": 1_000, "risk_per_trade": 0.02, "leverage_cap": 5, "exchange": "okx"}
    answer = client.post("/v1/predict", json=window | {"account": right})
    assert answer.status_code == 200, answer.text
    assert "unknown_margin_tier" in answer.json()["degraded"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"equity": None, "risk_per_trade": 0.01}, "--risk-per-trade needs --equity"),
        ({"equity": None, "position": "short:1:2:3"}, "--position needs --equity"),
        ({"equity": 1.0, "position": "short:1:2"}, "--position is 'short:1:2', expected side:"),
        ({"equity": 1.0, "position": "short:1:two:3"}, "--position is 'short:1:two:3', expected side:"),
        ({"equity": 1.0, "position": "short:1:2:3:4:5"}, "expected side:"),
        ({"equity": float("nan")}, "--equity is nan: it should be an amount above 0"),
    ],
)
def test_options_that_describe_no_account_are_wrong_usage(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        account_of(**options)
    assert message in caught.value.message
    assert caught.value.exit_code == 2


def test_no_option_is_no_account_and_the_usual_caps() -> None:
    assert account_of(None) is None
    assert account_of(5.0, exchange="okx") == Account(equity=5.0, exchange="okx")
    assert caps_of(None, None, None) == PortfolioCaps()
    assert caps_of(None, 2.0, 0.25) == PortfolioCaps(gross=2.0, margin=0.25)
    with pytest.raises(UsageError, match=r"--portfolio-risk is 0\.5: it should be less"):
        caps_of(0.5, None, None)
