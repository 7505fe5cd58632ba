"""The backtest from a replay file to tables, page, JSON and runs; and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_training import Trained, copy_places, small_histories, small_markets

from features.errors import DataError, NothingUsableError, UsageError
from features.history import History
from features.regimes import REGIMES
from training.backtest import backtest_command, run_backtest
from training.backtesting.answered import check_replay, on_grid
from training.backtesting.market_state import market_columns, rule_on_grid
from training.backtesting.measures import curve_of, share_of, survival_of
from training.backtesting.paths import real_paths
from training.backtesting.strategies import NAMES, Setting, chosen, strategies
from training.backtesting.study import Backtest
from training.tracking import open_tracker

SINCE = pd.Timestamp("2021-12-01", tz="UTC")
WANTED = ("advice", "advice_no_stop", "regimes_5x", "buy_and_hold", "short_20x", "signals_3_of_4_5x")


def made_up_replay(seed: int = 3) -> pd.DataFrame:
    """A replay file with regimes that last for a while, at every bar of the small market."""
    parts = []
    for place, history in enumerate(small_histories()):
        rng = np.random.default_rng(seed + place)
        time = history.time[history.time >= SINCE]
        kind = np.repeat(rng.integers(0, 4, len(time) // 60 + 1), 60)[: len(time)]
        p = np.full((len(time), 4), 0.1)
        p[np.arange(len(time)), kind] = 0.7
        side = np.array(["short", "flat", "short", "long"])[kind]
        close = history.column("close")[-len(time) :]
        away = np.array([1, np.nan, 1, -1])[kind]
        second = np.where(rng.random(len(time)) < 0.2, 0.0, 0.04)
        lever = np.round(rng.uniform(1, 4, len(time)), 1)
        parts.append(
            pd.DataFrame(
                {
                    "time": time,
                    "symbol": history.symbol,
                    "regime": np.array(REGIMES)[kind],
                    **{f"p_{name}": p[:, k] for k, name in enumerate(REGIMES)},
                    "side": side,
                    "short_share": np.array([0.65, 0.5, 0.55, 0.35])[kind],
                    "size_factor": np.where(kind == 1, 0.5, 1.0),
                    "leverage": lever,
                    "leverage_short": lever,
                    "leverage_long": lever,
                    "stop_price": close * np.exp(away * 0.12),
                    "target_price": close * np.exp(-away * 0.15),
                    "tranche_1_price": close * np.exp(away * 0.0),
                    "tranche_2_price": close * np.exp(away * second),
                    "tranche_3_price": close * np.exp(away * 0.08),
                    **{
                        f"tranche_{n}_share": np.where(kind == 1, np.nan, share)
                        for n, share in ((1, 0.3), (2, 0.3), (3, 0.4))
                    },
                    "agreeing": 3,
                    "available": 4,
                    "signals": "a=bearish,b=bearish,c=bearish,d=missing",
                    "model_version": "0123456789ab",
                    "in_sample": False,
                    "reason": None,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def done() -> Backtest:
    return run_backtest(made_up_replay(), list(small_markets()), WANTED, years_drawn=2)


def test_every_strategy_has_every_figure(done: Backtest) -> None:
    assert tuple(one.name for one in done.results) == WANTED
    assert done.years == pytest.approx((len(done.time) / 6) / 365)
    for one in done.results:
        assert one.starts is not None
        assert one.starts.accounts == 2 * (int(len(done.time) / 6 - 365) + 1)
        assert one.drawn.accounts == 2 * 2
        assert set(one.by_symbol) == {"SIMBTC", "SIMETH"}
        assert 0 <= one.curve.drawdown <= 1.001
        assert one.starts.survived.low <= one.starts.survived.share <= one.starts.survived.high
    names = {one.name: one for one in done.results}
    assert names["short_20x"].starts is not None
    assert names["short_20x"].starts.liquidations > 0
    assert names["buy_and_hold"].turnover < 2
    json.dumps(done.as_dict(), allow_nan=False)


def test_stress_is_worse_where_it_is_dearer() -> None:
    """A span of four months: no account has a full year left, and the figures say so."""
    frame = made_up_replay()
    frame = frame[frame["time"] < SINCE + pd.Timedelta(days=120)]
    wanted = ("advice_full_size", "regimes_5x")
    short = run_backtest(frame, list(small_markets()), wanted, stress=True, years_drawn=1)
    assert set(short.stress) == {"none", "delay_3", "delay_5", "slippage_3x", "funding_2x", "gap_opens"}
    assert short.results[0].starts is None
    normal = short.stress["none"][1]["advice_full_size"]["total"]
    for name in ("slippage_3x", "gap_opens"):
        assert short.stress[name][1]["advice_full_size"]["total"] < normal
    json.dumps(short.as_dict(), allow_nan=False)


def test_the_plan_is_the_one_that_was_served() -> None:
    """Prices of the file, not distances made again: by hand at one bar, and at one that holds it."""
    frame = made_up_replay()
    frame = frame[(frame["symbol"] == "SIMBTC") & (frame["time"] < SINCE + pd.Timedelta(days=30))]
    row = int(np.flatnonzero((frame["side"] == "short").to_numpy())[5])
    moment = frame["time"].iloc[row]
    market = small_markets()[0]
    paths = real_paths([market], SINCE, frame["time"].max())
    assert paths.time is not None
    at = int(np.flatnonzero(paths.time == moment)[0])
    close = float(paths.mark[at, 0])
    served = {
        "tranche_1_price": close,
        "tranche_2_price": close * 1.03,
        "tranche_3_price": close * 1.05,
        "stop_price": close * 1.10,
        "target_price": np.nan,
        "leverage_short": 2.5,
    }
    for name, value in served.items():
        frame.loc[frame.index[row], name] = value
    frame = frame[frame["time"] != frame["time"].iloc[row + 1]]
    answered = on_grid(frame, paths.time, paths.symbols)
    histories = [History.from_raw(market)]
    columns = market_columns(histories, paths.time)
    setting = Setting(paths.symbols, answered, columns, rule_on_grid(histories, paths.time))
    (plan,) = strategies(setting, ["advice"])
    assert plan.shares == (0.3, 0.3, 0.4)
    for held in (0, 1):
        mark = float(paths.mark[at + held, 0])
        for name, price in (("second", 1.03), ("third", 1.05), ("stop", 1.10)):
            distance = max(0.0, np.log(close * price / mark))
            assert getattr(plan, name)[at + held, 0] == pytest.approx(distance, abs=1e-9)
        assert plan.target[at + held, 0] == np.inf  # an older answer's target is not this one's
        assert plan.leverage[at + held, 0] == 2.5
    loss = 0.3 * 0.10 + 0.3 * (1.10 / 1.03 - 1) + 0.4 * (1.10 / 1.05 - 1) + 2 * 0.0005
    assert plan.notional[at, 0] == pytest.approx(0.01 / loss)


def test_answers_in_sample_are_never_used() -> None:
    frame = made_up_replay()
    frame["in_sample"] = frame["time"] < pd.Timestamp("2022-11-01", tz="UTC")
    paths = real_paths(small_markets(), SINCE, frame["time"].max())
    assert paths.time is not None
    answered = on_grid(frame, paths.time, paths.symbols)
    seen = np.asarray(paths.time < pd.Timestamp("2022-11-01", tz="UTC"))
    assert (answered.side[seen] == 0).all()
    assert (answered.regime[seen] == -1).all()
    assert (answered.regime[~seen] >= 0).all()
    later = run_backtest(frame, list(small_markets()), ("advice",), years_drawn=1)
    assert later.time[0] == pd.Timestamp("2022-11-01", tz="UTC")
    frame["in_sample"] = True
    with pytest.raises(NothingUsableError, match="no answer that the model had not seen"):
        check_replay(frame)


def test_another_future_of_market_and_answers_changes_no_past_equity(done: Backtest) -> None:
    cut = pd.Timestamp("2022-09-01", tz="UTC")
    other = made_up_replay(seed=77)
    frame = made_up_replay()
    later = (frame["time"] >= cut).to_numpy()
    frame.loc[later] = other.loc[later]
    markets = []
    for market in small_markets():
        bars = market.bars.copy()
        rows = (bars["open_time"] + pd.Timedelta(hours=4) > cut).to_numpy()
        for name in ("open", "high", "low", "close"):
            bars.loc[rows, name] *= 1.5
        markets.append(replace(market, bars=bars))
    changed = run_backtest(frame, markets, WANTED, years_drawn=1)
    past = np.asarray(done.time <= cut)
    np.testing.assert_array_equal(changed.equity[past], done.equity[past])
    assert (changed.equity[~past] != done.equity[~past]).any()


def test_the_command_writes_tables_page_json_and_runs(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = copy_places(trained.places, tmp_path / "places").model_copy(
        update={"store": trained.places.store}
    )
    made_up_replay().to_parquet(tmp_path / "replay.parquet")
    places = places.model_copy(update={"bundles": tmp_path / "none"})
    with pytest.raises(UsageError, match="holds no XRPUSDT"):
        backtest_command("XRPUSDT", places, replayed=tmp_path / "replay.parquet")
    # the store holds four-hour bars; the replay says so
    backtest_command(
        "",
        places,
        replayed=tmp_path / "replay.parquet",
        named="advice,buy_and_hold",
        since="2022-10-01",
        years_drawn=2,
        page=tmp_path / "page.html",
        json=tmp_path / "result.json",
    )
    printed = capsys.readouterr().out
    assert "independent years" in printed
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["strategies"]) == {"advice", "buy_and_hold"}
    assert result["first_bar"] == "2022-10-01T00:00:00Z"
    page = (tmp_path / "page.html").read_text()
    assert "buy and hold" in page
    assert "https://" not in page.split("</script>")[-1]
    tracker = open_tracker(places)
    run = tracker.find("bearmode/strategy", "advice")
    assert run is not None
    metrics = tracker.client.get_run(run).data.metrics
    assert metrics["drawdown"] == pytest.approx(result["strategies"]["advice"]["curve"]["drawdown"])


def test_without_a_replay_file_the_folds_models_answer(trained: Trained, tmp_path: Path) -> None:
    """From the champion's own walk, whose answers are none that it had seen."""
    places = copy_places(trained.places, tmp_path / "places").model_copy(
        update={"store": trained.places.store}
    )
    file = tmp_path / "result.json"
    backtest_command(
        "SIMBTC", places, named="advice", since="2022-12-01", until="2023-01-15", json=file, years_drawn=1
    )
    result = json.loads(file.read_text())
    assert result["symbols"] == ["SIMBTC"]
    assert result["rows"]["used"] == 45 * 6
    assert result["rows"]["in_sample"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="leverage_short"), "lacks leverage_short"),
        (lambda frame: frame.assign(side="up"), r"a side of \['up'\]"),
        (lambda frame: frame.assign(leverage_long=-1.0), "leverage_long of the replay file is not between"),
        (lambda frame: pd.concat([frame, frame.head(1)]), "two rows for a bar"),
        (lambda frame: frame.drop(columns="tranche_2_price"), "lacks tranche_2_price"),
        (lambda frame: frame.assign(tranche_3_price=None), "a plan of the replay file lacks a price"),
        (lambda frame: frame.assign(stop_price=frame["target_price"]), "in the wrong order"),
        (lambda frame: frame.assign(tranche_1_share=range(len(frame))), "shares of the tranches change"),
        (lambda frame: frame.assign(in_sample=None), "in_sample of the replay file is not"),
        (lambda frame: frame.assign(time=frame["time"].dt.tz_localize(None)), "has no time zone"),
    ],
)
def test_what_is_no_replay_is_refused(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(DataError, match=message):
        check_replay(change(made_up_replay()))


def test_strategies_are_named_or_refused() -> None:
    assert chosen(None) == NAMES
    assert chosen("short_5x, advice") == ("advice", "short_5x")
    for text, message in (("nothing", "is no strategy"), ("advice,advice", "one twice"), (" ,", "none")):
        with pytest.raises(UsageError, match=message):
            chosen(text)


def test_measures_by_hand() -> None:
    curve = curve_of(np.array([1.1, 1.21, 0.605, 1.21]), 1)
    assert curve.total == pytest.approx(0.21)
    assert curve.drawdown == pytest.approx(0.5)
    assert curve.cvar == pytest.approx(-0.5)
    assert share_of(np.array([True]), 3.0).low == pytest.approx(3 / (3 + 1.959964**2), rel=1e-6)
    lives = survival_of(
        np.array([2.0, 0.4, 0.6]),
        np.array([0.9, 0.3, 0.2]),
        np.array([0, 1, 0]),
        np.array([240, 120, 120]),
        24,
        3.0,
    )
    assert lives.survived.share == pytest.approx(2 / 3)
    assert lives.never_below_half == pytest.approx(1 / 3)
    assert lives.liquidations == pytest.approx(1000 / 20)


def test_funding_lies_at_its_settlement_and_unknown_funding_is_charged() -> None:
    market = small_markets()[0]
    assert market.funding is not None
    moment = pd.Timestamp("2022-03-01 08:00", tz="UTC")
    known = market.funding["time"]
    holed = replace(
        market,
        funding=market.funding[(known < moment) | (known > moment + pd.Timedelta(days=5))],
    )
    span = (pd.Timestamp("2022-02-01", tz="UTC"), pd.Timestamp("2022-04-01", tz="UTC"))
    paths = real_paths([holed], *span)
    assert paths.time is not None
    before = market.funding[(known > span[0] - pd.Timedelta(hours=4)) & (known < moment)]
    at = paths.time.get_indexer(pd.DatetimeIndex(before["time"]).ceil("4h"))
    assert paths.funding[at, 0] == pytest.approx(before["funding_rate"].to_numpy())
    inside = np.asarray(
        (paths.time > moment + pd.Timedelta(days=1)) & (paths.time < moment + pd.Timedelta(days=4))
    )
    assert paths.assumed[inside].sum() == pytest.approx(0.0001 * 9, rel=0.15)
    assert paths.assumed[~inside].sum() < 0.0001 * 5
    assert (paths.funding[inside] == 0).all()
