"""The simulated market: reproducible, valid, and drawn from the densities that it exports."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from features.errors import NothingUsableError, UsageError
from features.raw import RawMarket
from features.sources.simulated import SIMULATED_SYMBOLS, Simulation, load_simulated, simulate

BEAR, RANGING, RELIEF, BULL = range(4)
TABLES = ("bars", "funding", "open_interest", "positioning", "fear_greed")


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@cache
def full() -> Simulation:
    return simulate(SIMULATED_SYMBOLS)


def tables(market: RawMarket) -> dict[str, pd.DataFrame]:
    return {name: getattr(market, name) for name in TABLES}


def log_returns(market: RawMarket) -> pd.Series[float]:
    ratio = market.bars["close"].to_numpy(dtype=np.float64) / market.bars["open"].to_numpy(dtype=np.float64)
    return pd.Series(np.log(ratio))


def digest(market: RawMarket) -> str:
    text = "".join(f"{name}\n{table.to_csv(index=False)}" for name, table in tables(market).items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_short_run_has_the_recorded_bytes() -> None:
    short = simulate(["SIMBTC", "SIMETH", "ANYCOIN"], until=day("2021-01-22"))
    assert {name: digest(market) for name, market in short.markets.items()} == {
        "SIMBTC": "178b2c40644e07fa",
        "SIMETH": "4aeb4a69b1fe98d2",
        "ANYCOIN": "72ac601951fbb440",
    }


def test_another_seed_is_another_market() -> None:
    a, b = (simulate(["SIMBTC"], seed=seed, until=day("2021-01-05")).markets["SIMBTC"] for seed in (7, 8))
    assert not a.bars["close"].equals(b.bars["close"])


@settings(max_examples=8, deadline=None)
@given(hours=st.integers(2, 24 * 60), symbol=st.sampled_from(["SIMBTC", "SIMSOL", "OTHER9"]))
def test_a_shorter_run_is_a_prefix(hours: int, symbol: str) -> None:
    long = simulate([symbol], until=day("2021-03-10"))
    until = day("2021-01-01") + pd.Timedelta(hours=hours)
    short = simulate([symbol], until=until)
    assert len(short.markets[symbol].bars) == hours - 1
    for name, table in tables(short.markets[symbol]).items():
        longer = tables(long.markets[symbol])[name]
        pd.testing.assert_frame_equal(table, longer.iloc[: len(table)], check_exact=True)
        if name != "bars":
            assert (longer["time"].iloc[len(table) :] >= until).all()
    pd.testing.assert_frame_equal(short.states[symbol], long.states[symbol].iloc[: hours - 1])


def test_a_symbol_does_not_depend_on_the_others() -> None:
    until = day("2021-02-01")
    alone = simulate(["SIMSOL"], until=until).markets["SIMSOL"]
    together = simulate(["NEWCOIN", "SIMSOL", "SIMBTC"], until=until).markets["SIMSOL"]
    assert digest(alone) == digest(together)


def test_the_source_cuts_the_same_history() -> None:
    whole = load_simulated(["SIMETH"], until=day("2021-04-01"))[0]
    (cut,) = load_simulated(["SIMETH"], since=day("2021-03-01"), until=day("2021-04-01"))
    closes = cut.bars["open_time"] + pd.Timedelta(hours=1)
    assert (closes.iloc[0], closes.iloc[-1]) == (day("2021-03-01"), day("2021-03-31 23:00"))
    assert cut.source == "simulated"
    for name, table in tables(cut).items():
        later = tables(whole)[name].iloc[-len(table) :].reset_index(drop=True)
        pd.testing.assert_frame_equal(table, later, check_exact=True)


@pytest.mark.parametrize(("interval", "hours"), [("4h", 4), ("1d", 24)])
def test_longer_bars_are_made_of_the_hourly_ones(interval: str, hours: int) -> None:
    since, until = day("2021-01-01 03:00"), day("2021-02-01 05:00")
    hourly = simulate(["SIMBTC"], since=since, until=until).markets["SIMBTC"].bars.set_index("open_time")
    longer = simulate(["SIMBTC"], interval=interval, since=since, until=until)
    bars = longer.markets["SIMBTC"].bars.set_index("open_time")
    assert longer.markets["SIMBTC"].interval == interval
    assert bars.index[0] == day("2021-01-01").ceil("D") + pd.Timedelta(hours=4 if hours == 4 else 24)
    for moment, bar in bars.iterrows():
        part = hourly.loc[moment : moment + pd.Timedelta(hours=hours - 1)]  # type: ignore[operator]
        assert len(part) == hours
        assert bar["open"] == part["open"].iloc[0]
        assert bar["close"] == part["close"].iloc[-1]
        assert (bar["high"], bar["low"]) == (part["high"].max(), part["low"].min())
        assert bar["volume"] == pytest.approx(part["volume"].sum(), rel=1e-7)
    assert list(longer.states["SIMBTC"]["time"]) == list(
        pd.DatetimeIndex(bars.index) + pd.Timedelta(hours=hours)
    )


@pytest.mark.parametrize("symbol", SIMULATED_SYMBOLS)
def test_bars_are_valid(symbol: str) -> None:
    bars = full().markets[symbol].bars
    assert len(bars) == 4 * 8760 + 24 - 1  # 2024 is a leap year; the last close is 2024-12-31 23:00
    assert (bars["open_time"].diff().dropna() == pd.Timedelta(hours=1)).all()
    assert np.isfinite(bars.drop(columns="open_time").to_numpy()).all()
    assert (bars["low"] > 0).all()
    assert (bars["volume"] > 0).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["open"].iloc[1:].to_numpy() == bars["close"].iloc[:-1].to_numpy()).all()


def test_values_are_known_when_their_rows_say() -> None:
    market = full().markets["SIMBTC"]
    funding, interest = tables(market)["funding"], tables(market)["open_interest"]
    assert set(funding["time"].dt.hour) == {0, 8, 16}
    assert set(funding["time"].diff().dropna()) == {pd.Timedelta(hours=8)}
    assert (funding["funding_interval_hours"] == 8).all()
    for table in (interest, tables(market)["positioning"], tables(market)["fear_greed"]):
        assert (table["time"] == table["time"].dt.floor("D")).all()
        assert set(table["time"].diff().dropna()) == {pd.Timedelta(days=1)}
    assert not any("state" in table.columns for table in tables(market).values())


@pytest.mark.parametrize("symbol", SIMULATED_SYMBOLS)
def test_scales_are_those_of_a_crypto_market(symbol: str) -> None:
    returns = log_returns(full().markets[symbol])
    low, high = {"SIMBTC": (0.45, 0.70), "SIMETH": (0.60, 0.95), "SIMSOL": (0.9, 1.4)}[symbol]
    assert low < returns.std() * 8760**0.5 < high
    assert stats.kurtosis(returns) > 4.0  # a Gaussian has 0
    assert returns.abs().autocorr(1) > 0.08  # clustering; the bound for white noise is about 0.01
    assert returns.abs().autocorr(24) > 0.05
    assert abs(returns.autocorr(1)) < 0.05
    assert returns.corr(log_returns(full().markets["SIMBTC"])) > 0.5


def by_state(values: pd.Series[float], symbol: str) -> NDArray[np.int64]:
    truth = full().states[symbol].set_index("time")["state"]
    return truth.reindex(values.index).to_numpy()


@pytest.mark.parametrize("symbol", SIMULATED_SYMBOLS)
def test_states_move_the_market_as_documented(symbol: str) -> None:
    market, truth = full().markets[symbol], full().states[symbol]
    state = truth["state"].to_numpy()
    returns = log_returns(market).to_numpy()
    drift = [24.0 * returns[state == s].mean() for s in range(4)]
    assert drift[BEAR] < -0.003 < drift[RANGING] < drift[BULL] < drift[RELIEF]
    violent = returns > 4.0 * returns.std()
    assert violent[state == RELIEF].mean() > 2.0 * violent[state != RELIEF].mean()
    rate = tables(market)["funding"].set_index("time")["funding_rate"]
    where = by_state(rate, symbol)
    assert rate[where == BEAR].mean() < rate[where == BULL].mean() - 1e-4
    assert (rate[where == BEAR] < 0).mean() > 2.0 * (rate[where == BULL] < 0).mean()
    assert 0.3 < (rate == 1e-4).mean() < 0.7
    close = pd.Series(market.bars["close"].to_numpy(), index=truth["time"])
    interest = tables(market)["open_interest"].set_index("time")["open_interest_value"]
    coins = np.log(interest / close.reindex(interest.index)).diff()
    kind = by_state(coins, symbol)
    assert coins[kind == BEAR].mean() > 0.0 > coins[kind == RELIEF].mean()


def test_spells_last_as_documented() -> None:
    regimes = full().parameters.regimes
    states, ages = regimes.sample(np.random.default_rng(0), 24 * 365 * 400)
    ends = np.flatnonzero(np.diff(states))
    days = pd.Series(ages[ends] / 24.0).groupby(states[ends])
    assert list(np.bincount(states) / len(states)) == pytest.approx(list(regimes.shares()), abs=0.02)
    assert days.median()[RELIEF] == pytest.approx(4.6, abs=0.3)
    assert 14.0 < days.median()[BEAR] < 28.0
    assert 10.0 < len(ends) / 400 < 16.0
    after = pd.crosstab(states[ends], states[ends + 1], normalize="index")
    assert after.to_numpy() == pytest.approx(np.array(regimes.transition), abs=0.03)


@pytest.mark.parametrize(
    ("symbols", "change", "error", "words"),
    [
        ([], {}, UsageError, "no symbols"),
        (["sim-btc"], {}, UsageError, "'sim-btc'"),
        (["SIMBTC", "SIMBTC"], {}, UsageError, "twice"),
        (["SIMBTC"], {"interval": "2h"}, UsageError, "'2h'"),
        (["SIMBTC"], {"seed": -1}, UsageError, "-1"),
        (["SIMBTC"], {"until": pd.Timestamp("2022-01-01")}, UsageError, "no time zone"),
        (["SIMBTC"], {"since": day("2021-01-01 00:30")}, UsageError, "whole hour"),
        (["SIMBTC"], {"until": day("2020-06-01")}, NothingUsableError, "no whole 1h bar"),
        (["SIMBTC"], {"interval": "1d", "until": day("2021-01-01 09:00")}, NothingUsableError, "no whole 1d"),
    ],
)
def test_bad_requests_are_named(
    symbols: list[str], change: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        simulate(symbols, **change)  # type: ignore[arg-type]


def test_a_span_before_the_simulated_history_is_refused() -> None:
    with pytest.raises(NothingUsableError, match="starts at 2021-01-01"):
        load_simulated(["SIMBTC"], until=day("2020-12-31"))
    with pytest.raises(NothingUsableError, match="no 1h bar"):
        load_simulated(["SIMBTC"], since=day("2021-02-01"), until=day("2021-01-15"))
