"""The simulator's true positions, and whether the estimated map finds them; real totals where present."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from histories import LONG, MARKET, needs_market, raw_market

from benchmarks.liquidation_checks import (
    SIDES,
    day_ends,
    liquidation_totals,
    partial_rank_correlation,
    rank_correlation,
    shuffled,
    true_figures,
)
from features.errors import DataError
from features.history import History
from features.raw import RawMarket
from features.sources import load_raw
from features.sources.simulated import simulate
from features.sources.simulated_positions import TraderParameters, TruePositions, true_positions

SYMBOLS = ("SIMBTC", "SIMETH", "SIMSOL") if LONG else ("SIMBTC",)
FLOOR = 0.35
"""Rank correlations with the truth must exceed it: measured ones are 0.53 to 0.90. Over some 270 days
a map that knows nothing stays below 0.2 (three standard deviations of 1 / sqrt(270))."""


@cache
def simulated(symbol: str = "SIMBTC") -> tuple[RawMarket, TruePositions]:
    until = pd.Timestamp("2023-01-01" if LONG else "2022-02-01", tz="UTC")
    market = simulate([symbol], until=until).markets[symbol]
    return market, true_positions(market)


@cache
def compared(symbol: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The estimate and the truth at the same days' ends."""
    market, truth = simulated(symbol)
    estimate = day_ends(History.from_raw(market))
    true = true_figures(truth, estimate["sigma"].reindex(truth.days).to_numpy(np.float64))
    return estimate, true.reindex(estimate.index)


def correlations(estimate: pd.DataFrame, true: pd.DataFrame) -> dict[str, float]:
    """What must hold: where the wall is, what is near, and what is swept beyond how far price went."""
    found = {}
    for side in SIDES:
        for what in ("distance", "near_2", "swept"):
            found[f"{side}_{what}"] = rank_correlation(estimate[f"{side}_{what}"], true[f"{side}_{what}"])
        found[f"{side}_swept beyond range"] = partial_rank_correlation(
            estimate[f"{side}_swept"], true[f"{side}_swept"], [estimate[f"{side}_range"]]
        )
    return found


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_map_finds_the_true_positions(symbol: str) -> None:
    found = correlations(*compared(symbol))
    assert min(found.values()) > FLOOR, found


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_map_of_other_days_does_not(symbol: str) -> None:
    estimate, true = compared(symbol)
    other = shuffled(estimate, 3).assign(**{f"{side}_range": estimate[f"{side}_range"] for side in SIDES})
    assert max(correlations(other, true).values()) < FLOOR


def test_true_positions_hold_the_open_interest_of_the_market() -> None:
    market, truth = simulated()
    assert market.open_interest is not None
    usd = market.open_interest.set_index("time")["open_interest_value"].reindex(truth.days).to_numpy()
    for shorts, longs in ((book[0], book[1]) for book in truth.books[::30]):
        assert shorts[1].sum() == pytest.approx(longs[1].sum())
    coins = np.array([book[0][1].sum() for book in truth.books])
    np.testing.assert_allclose(coins * truth.close, usd, rtol=1e-9)


def test_nobody_is_past_their_liquidation_price() -> None:
    market, truth = simulated()
    for (shorts, longs), close in zip(truth.books[::10], truth.close[::10], strict=True):
        assert (shorts[0] > close).all()
        assert (longs[0] < close).all()
    high = market.bars["high"].to_numpy(np.float64)
    quiet = np.r_[False, high[1:] <= market.bars["open"].to_numpy(np.float64)[1:]]
    assert (truth.liquidated["short"].to_numpy()[quiet] == 0).all()


def test_a_sweep_takes_exactly_those_it_reaches() -> None:
    market, truth = simulated()
    rows = pd.DatetimeIndex(truth.liquidated["time"]).get_indexer(truth.days)
    for day in (50, 90, 200):
        shorts, longs = truth.books[day]
        after = rows[day] + 1  # the first bar of the next day
        bar = market.bars.iloc[after]
        assert truth.liquidated["short"][after] == pytest.approx(shorts[1][shorts[0] <= bar["high"]].sum())
        assert truth.liquidated["long"][after] == pytest.approx(longs[1][longs[0] >= bar["low"]].sum())


def test_the_same_seed_gives_the_same_positions_and_leaves_the_market_alone() -> None:
    market = simulate(["SIMBTC"], until=pd.Timestamp("2021-01-15", tz="UTC")).markets["SIMBTC"]
    before = market.bars.copy()
    first, again, other = (true_positions(market, seed=seed).liquidated for seed in (7, 7, 8))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    pd.testing.assert_frame_equal(market.bars, before)


def test_a_longer_run_starts_with_the_shorter_one() -> None:
    runs = []
    for end in ("2021-01-10", "2021-01-20"):
        market = simulate(["SIMETH"], until=pd.Timestamp(end, tz="UTC")).markets["SIMETH"]
        runs.append(true_positions(market).liquidated)
    known = 8 * 24 - 1  # up to the last day's end that both know, open interest is the same
    pd.testing.assert_frame_equal(runs[0][:known], runs[1][:known])


def test_traders_without_leverage_are_never_liquidated() -> None:
    market = simulate(["SIMBTC"], until=pd.Timestamp("2021-02-01", tz="UTC")).markets["SIMBTC"]
    careful = TraderParameters(leverage_bounds=(1.001, 1.001))
    assert true_positions(market, traders=careful).liquidated["long"].sum() == 0


def test_only_the_simulated_market_knows() -> None:
    with pytest.raises(DataError) as caught:
        true_positions(raw_market(100))
    assert caught.value.code == "not_simulated"
    short = simulate(["SIMBTC"], until=pd.Timestamp("2021-01-02 12:00", tz="UTC")).markets["SIMBTC"]
    with pytest.raises(DataError) as caught:
        true_positions(short)
    assert "two days" in str(caught.value.hint)


REAL = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "DOGEUSDT") if LONG else ("ETHUSDT",)


@needs_market
@pytest.mark.parametrize("symbol", REAL)
def test_real_liquidations_are_larger_where_the_map_was_swept(symbol: str) -> None:
    """Measured 0.50 to 0.66; a map of other days reaches 0.21, by the level of open interest alone."""
    (market,) = load_raw("files", [symbol], path=MARKET, interval="1h")
    table, totals = day_ends(History.from_raw(market)), liquidation_totals(market)
    for side in SIDES:
        real = totals[side].reindex(table.index)
        assert rank_correlation(table[f"{side}_swept"] * table["open_interest"], real) > 0.3
        other = shuffled(table, 5)[f"{side}_swept"]
        assert rank_correlation(other * table["open_interest"], real) < 0.3
