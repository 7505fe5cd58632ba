"""The example strategy against the real service: it trades the advice, or not at all."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from freqtrade_stub import Candles, candles_of, load_strategy
from small_training import SYMBOLS, UNTIL, Trained

from features.sources import load_simulated
from serving.predictor import Predictor
from serving.schemas import PredictRequest

sys.path.append(str(Path(__file__).parents[1] / "serving"))
from live_fixtures import served
from service_fixtures import free_port

PAIR = "SIMBTC/USDT:USDT"
FOUR_HOURS = pd.Timedelta(hours=4)
SIMULATED = ("model_trained_on_simulated_data", "unknown_symbol", "unknown_margin_tier", "stale_window")
"""What a simulated market cannot help."""


@pytest.fixture(scope="module")
def strategy_class(root: Path) -> Any:
    return load_strategy(root)


@pytest.fixture(scope="module")
def address(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work = tmp_path_factory.mktemp("freqtrade")
    with served(work, "--bundle", str(trained.bundle)) as service:
        service.wait_for("/readyz", 200, seconds=90)
        yield service.url


@pytest.fixture(scope="module")
def market() -> Any:
    """Two weeks beyond what the model was trained on."""
    (found,) = load_simulated([SYMBOLS[0]], interval="4h", until=UNTIL + pd.Timedelta(days=14))
    return found


@pytest.fixture
def bot(strategy_class: Any, address: str, market: Any, predictor: Predictor) -> Any:
    return new_bot(strategy_class, address, candles_of(market, predictor.manifest.window_bars, 300))


def new_bot(strategy_class: Any, url: str, candles: Candles, **settings: Any) -> Any:
    made = strategy_class(
        {"bearmode": {"url": url, "timeout": 20.0, "tolerated": list(SIMULATED), **settings}}
    )
    made.timeframe = "4h"
    made.dp = candles
    return made


def now(bot: Any) -> pd.Timestamp:
    """A minute into the forming candle: the live frame's last row."""
    opened: pd.Timestamp = bot.dp.live["date"].iloc[-1]
    return opened + pd.Timedelta(minutes=1)


def asked(bot: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Record of the requests that a bot makes."""
    requests: list[tuple[str, dict[str, Any]]] = []
    send = bot._send

    def recorded(method: str, path: str, **options: Any) -> httpx.Response:
        requests.append((path, options.get("json", {})))
        answer: httpx.Response = send(method, path, **options)
        return answer

    monkeypatch.setattr(bot, "_send", recorded)
    return requests


def entry(bot: Any, side: str, moment: pd.Timestamp) -> tuple[float, float, bool]:
    """What freqtrade asks before an entry, in its order."""
    leverage = bot.leverage(PAIR, moment, 100.0, 1.0, 20.0, None, side)
    stake = bot.custom_stake_amount(PAIR, moment, 100.0, 1000.0, 5.0, 5000.0, leverage, None, side)
    confirmed = bot.confirm_trade_entry(PAIR, "limit", 1.0, 100.0, "GTC", moment, None, side)
    return leverage, stake, confirmed


def test_it_trades_what_the_service_advises(
    bot: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = asked(bot, monkeypatch)
    moment = now(bot)
    found = {side: entry(bot, side, moment) for side in ("short", "long")}
    paths = [path for path, _ in requests]
    assert paths == ["/v1/model", "/v1/predict"], "once a candle, whatever freqtrade asks"
    body = requests[1][1]
    assert len(body["time"]) == predictor.manifest.window_bars
    assert body["time"][-1] <= moment.timestamp() * 1000 < body["time"][-1] + 4 * 3_600_000
    assert sum(rate is not None for rate in body["funding_rate"]) > 900

    request = PredictRequest.model_validate(body)
    advice = predictor.predict(request, now=pd.Timestamp.now(tz="UTC")).advice
    by_side = {"short": advice.leverage_short, "long": advice.leverage_long}
    for side, (leverage, stake, confirmed) in found.items():
        assert leverage == pytest.approx(min(5.0, max(1.0, by_side[side])))
        expected = 1000.0 * advice.size_factor * min(1.0, by_side[side])
        assert stake == pytest.approx(expected if expected >= 5.0 else 0.0)
        assert confirmed == (advice.side == side and by_side[side] > 0)


def test_a_new_candle_is_asked_for_anew(bot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked(bot, monkeypatch)
    moment = now(bot) - FOUR_HOURS
    whole = bot.dp.live
    bot.dp.live = whole.iloc[:-1]
    entry(bot, "short", moment)
    entry(bot, "short", moment + pd.Timedelta(hours=3))
    assert [path for path, _ in requests] == ["/v1/model", "/v1/predict"]
    bot.dp.live = whole
    entry(bot, "short", moment + FOUR_HOURS)
    assert [path for path, _ in requests][2:] == ["/v1/predict"]
    assert requests[2][1]["time"][-1] - requests[1][1]["time"][-1] == 4 * 3_600_000


def test_the_forming_candle_is_never_sent(bot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked(bot, monkeypatch)
    moment = now(bot)
    bot.dp.live.loc[bot.dp.live.index[-1], "close"] = 1e6
    entry(bot, "short", moment)
    assert max(requests[1][1]["close"]) < 1e6


NO_ENTRY = (1.0, 0.0, False)


def test_without_a_service_there_is_no_entry(strategy_class: Any, bot: Any, caplog: Any) -> None:
    alone = new_bot(strategy_class, f"http://127.0.0.1:{free_port()}", bot.dp)
    assert entry(alone, "short", now(bot)) == NO_ENTRY
    assert "there is no advice" in caplog.text


def test_a_service_that_hangs_holds_up_the_bot_once(strategy_class: Any, bot: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        alone = new_bot(strategy_class, url, bot.dp, timeout=0.3)
        began = time.monotonic()
        for _ in range(20):
            assert entry(alone, "long", now(bot)) == NO_ENTRY
        assert time.monotonic() - began < 10, "each of 60 questions has waited"
        assert "did not answer a moment ago" in alone.answer(PAIR, now(bot))
        alone._silent_until = 0.0
        assert "Timeout" in alone.answer(PAIR, now(bot))


def test_too_few_candles_are_said_and_not_sent(strategy_class: Any, bot: Any, monkeypatch: Any) -> None:
    candles = Candles(bot.dp.stored.iloc[:0], bot.dp.live)
    short = new_bot(strategy_class, bot.url, candles)
    requests = asked(short, monkeypatch)
    assert entry(short, "short", now(short)) == NO_ENTRY
    assert "freqtrade download-data --timeframes 4h" in short.answer(PAIR, now(short))
    assert [path for path, _ in requests] == ["/v1/model"]


def test_a_late_exchange_is_no_advice(bot: Any) -> None:
    assert entry(bot, "short", now(bot) + 2 * FOUR_HOURS) == NO_ENTRY
    assert "newest closed candle is missing" in bot.answer(PAIR, now(bot) + 2 * FOUR_HOURS)


def test_an_error_of_the_service_is_no_advice(bot: Any, strategy_class: Any) -> None:
    broken = bot.dp.live.copy()
    broken.loc[broken.index[-3], "high"] = 0.5 * broken.loc[broken.index[-3], "low"]
    bad = new_bot(strategy_class, bot.url, Candles(bot.dp.stored, broken, bot.dp.funding))
    assert entry(bad, "short", now(bot)) == NO_ENTRY
    assert bad.answer(PAIR, now(bot)).startswith("422 ")


def test_the_other_interval_is_no_advice(bot: Any) -> None:
    bot._model = (time.monotonic(), {"interval": "1h", "window_bars": 10, "ready": True})
    assert entry(bot, "short", now(bot)) == NO_ENTRY
    assert "reads 1h candles" in bot.answer(PAIR, now(bot))


def test_an_answer_that_is_degraded_by_something_else_is_no_advice(strategy_class: Any, bot: Any) -> None:
    strict = new_bot(strategy_class, bot.url, bot.dp, tolerated=[])
    assert entry(strict, "short", now(bot)) == NO_ENTRY
    assert "model_trained_on_simulated_data" in strict.answer(PAIR, now(bot))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "stale"}, "the model is stale"),
        ({"state": "expired"}, "the model is expired"),
        ({"trained_until": "2999-01-01T00:00:00Z"}, "no backtest with it"),
    ],
)
def test_a_model_that_is_old_or_knows_the_future_is_no_advice(
    bot: Any, changes: dict[str, Any], words: str
) -> None:
    moment = now(bot)
    answer = bot.answer(PAIR, moment)
    changed = json.loads(json.dumps(answer))
    changed["model"] |= changes
    bot._advice[PAIR] = (bot._advice[PAIR][0], changed)
    assert words in bot.answer(PAIR, moment)
    assert entry(bot, "short", moment) == NO_ENTRY


def test_the_cap_and_the_exchange_limit_the_leverage(bot: Any) -> None:
    moment = now(bot)
    answer = bot.answer(PAIR, moment)
    answer["advice"] |= {"leverage_short": 4.0, "side": "short", "size_factor": 0.5}
    bot.leverage_cap = 3.0
    assert entry(bot, "short", moment) == (3.0, 500.0, True)
    assert bot.leverage(PAIR, moment, 1.0, 1.0, 2.0, None, "short") == 2.0
    answer["advice"]["leverage_short"] = 0.4
    assert entry(bot, "short", moment) == (1.0, 200.0, True), "1x, and margin is held back"
    answer["advice"]["leverage_short"] = 0.0
    assert entry(bot, "short", moment) == NO_ENTRY


def test_the_key_comes_from_the_environment(strategy_class: Any, bot: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("BEARMODE_API_KEY", "k-123")
    assert new_bot(strategy_class, bot.url, bot.dp)._headers["X-API-Key"] == "k-123"


def test_a_misspelt_setting_is_refused(strategy_class: Any) -> None:
    with pytest.raises(ValueError, match="unknown settings"):
        strategy_class({"bearmode": {"leverage_max": 3}})


def test_signals_look_at_no_later_candle(bot: Any) -> None:
    frame = bot.dp.stored.reset_index(drop=True)

    def signals(rows: pd.DataFrame) -> pd.DataFrame:
        made = bot.populate_indicators(rows.copy(), {"pair": PAIR})
        made = bot.populate_exit_trend(bot.populate_entry_trend(made, {"pair": PAIR}), {"pair": PAIR})
        columns = ["enter_long", "enter_short", "exit_long", "exit_short"]
        return pd.DataFrame(made).reindex(columns=columns)

    # Four-hour candles in place of hourly ones: 480 of them make the slow mean's first 80 days.
    whole = pd.concat([frame.assign(close=frame["close"] * factor) for factor in (1, 2, 0.4, 3)])
    whole = whole.reset_index(drop=True)
    found = signals(whole)
    assert found.notna().sum().min() > 0
    cut = len(whole) - 250
    pd.testing.assert_frame_equal(found.iloc[:cut], signals(whole.iloc[:cut]), check_dtype=False)
