"""Which positions were liquidated: against a slow loop, the margin engine, and the future."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from histories import LONG, raw_market

from features.errors import DataError
from features.history import History
from serving.margin import TAKER_FEE, Position, liquidation_in_tiers
from training.survival.outcomes import Outcomes, Rules
from training.survival.prices import Prices, prices_of, week_number


def outcomes_of(symbol: str = "BTCUSDT", bars: int = 300, seed: int = 1, **rules: Any) -> Outcomes:
    raw = replace(raw_market(bars, seed=seed), symbol=symbol)
    raw = replace(raw, bars=raw.bars.drop(index=[bars // 2]).reset_index(drop=True))
    return Outcomes(prices_of(raw, History.from_raw(raw)), Rules(**rules))


def slow(outcomes: Outcomes, side: Position, leverage: float, entry: int, bars: int) -> float:
    """One position, bar by bar, as the docstring of the module has it."""
    p, rules = outcomes.prices, outcomes.rules
    _, tier = liquidation_in_tiers(
        rules.exchange,
        p.symbol,
        side,
        1.0,
        leverage,
        rules.notional,
        costs=rules.fee,
    )
    charged = tier.rate + (TAKER_FEE if rules.exchange == "okx" else 0.0)
    amount = 0.0 if rules.exchange == "okx" else tier.amount / rules.notional
    e = p.close[entry]
    if entry + bars >= len(p) or not np.isfinite(p.close[entry : entry + bars + 1]).all():
        return float("nan")
    sign = -1 if side == "short" else 1
    for bar in range(entry + 1, entry + bars + 1):
        worst = p.high[bar] if side == "short" else p.low[bar]
        funding = -sign * (p.funding[bar - 1] - p.funding[entry])
        left = e * (1 / leverage - rules.fee + amount) + sign * (worst - e) + funding
        if left <= charged * worst:
            return 1.0
    return 0.0


@pytest.mark.parametrize("seed", range(12 if LONG else 2))
@pytest.mark.parametrize(
    ("symbol", "rules", "leverages"),
    [
        ("BTCUSDT", {}, (1.0, 20.0, 100.0)),
        ("BTCUSDT", {"notional": 2_000_000.0}, (5.0, 50.0)),
        ("NEWUSDT", {"exchange": "okx"}, (10.0, 20.0)),
    ],
)
def test_it_equals_a_slow_loop(
    symbol: str, rules: dict[str, Any], leverages: tuple[float, ...], seed: int
) -> None:
    outcomes = outcomes_of(symbol, seed=seed, **rules)
    sides: tuple[Position, ...] = ("short", "long")
    for side in sides:
        for leverage in leverages:
            found = outcomes.liquidated(side, leverage, 2)
            expected = [slow(outcomes, side, leverage, t, 48) for t in range(len(outcomes.prices))]
            np.testing.assert_array_equal(found, expected)
            assert np.isnan(found[-1])
            assert np.isnan(found[len(found) // 2 - 5])  # a bar within the time is missing
    dead = outcomes.liquidated("short", leverages[-1], 2)
    assert 0 < np.nanmean(dead) < 1


def test_first_liquidation_agrees_with_whether() -> None:
    outcomes = outcomes_of("BTCUSDT")
    entries = np.flatnonzero(np.isfinite(outcomes.liquidated("long", 50.0, 2)))
    bars = outcomes.bars_to_liquidation("long", 50.0, entries, 2)
    np.testing.assert_array_equal(bars > 0, outcomes.liquidated("long", 50.0, 2)[entries] == 1)
    for entry, found in zip(entries[:40], bars[:40], strict=True):
        if found > 0:
            assert slow(outcomes, "long", 50.0, int(entry), int(found)) == 1
            assert slow(outcomes, "long", 50.0, int(entry), int(found) - 1) == 0
    with pytest.raises(DataError, match="fewer than 48 bars"):
        outcomes.bars_to_liquidation("long", 50.0, np.array([len(outcomes.prices) - 10]), 2)


def flat(high: float = 100.0, low: float = 100.0, funding: float = 0.0, bars: int = 60) -> Prices:
    """Price stands at 100 but for one bar; longs pay ``funding`` USD an hour."""
    time = pd.date_range("2024-01-01 01:00", periods=bars, freq="h", tz="UTC", unit="ms")
    close, highs, lows = np.full(bars, 100.0), np.full(bars, 100.0), np.full(bars, 100.0)
    highs[30], lows[30] = high, low
    return Prices(
        "BTCUSDT",
        "1h",
        time,
        close,
        highs,
        lows,
        funding * np.linspace(0.0, bars - 1, bars),
        np.ones(bars, dtype=bool),
    )


@pytest.mark.parametrize("side", ["short", "long"])
@pytest.mark.parametrize("leverage", [3.0, 20.0])
def test_the_edge_is_the_margin_engines_price(side: Position, leverage: float) -> None:
    price, _ = liquidation_in_tiers("binance", "BTCUSDT", side, 100.0, leverage, 10.0, costs=TAKER_FEE)
    away = 1e-9 * (1 if side == "short" else -1)
    for edge, dead in ((price * (1 + away), 1.0), (price * (1 - away), 0.0)):
        bars = flat(high=max(edge, 100.0), low=min(edge, 100.0))
        assert Outcomes(bars).liquidated(side, leverage, 1)[29] == dead
        assert Outcomes(bars).liquidated(side, leverage, 1)[30] == 0


def test_funding_kills_who_pays_it_and_only_him() -> None:
    outcomes = Outcomes(flat(funding=0.5))
    # of a 20x long's margin of 5, 4.55 lie above maintenance: gone in the tenth hour, met by the next bar
    entry = np.array([5])
    assert outcomes.bars_to_liquidation("long", 20.0, entry, 1).tolist() == [11]
    assert outcomes.bars_to_liquidation("short", 20.0, entry, 1).tolist() == [-1]


def test_only_the_bars_of_the_horizon_count() -> None:
    outcomes = outcomes_of("BTCUSDT")
    p, at = outcomes.prices, 200
    changed = Outcomes(
        replace(
            p,
            high=np.where(np.arange(len(p)) > at, p.high * 3, p.high),
            close=np.where(np.arange(len(p)) > at, p.close * 3, p.close),
        )
    )
    before, after = outcomes.liquidated("short", 10.0, 1), changed.liquidated("short", 10.0, 1)
    np.testing.assert_array_equal(before[: at - 23], after[: at - 23])
    assert (after[at - 23 : at] == 1).all()


def test_a_leverage_beyond_the_tier_is_refused() -> None:
    with pytest.raises(DataError, match="at most the tier's 125x"):
        outcomes_of("BTCUSDT").liquidated("short", 126.0, 1)
    with pytest.raises(DataError, match="at most the tier's 20x"):
        outcomes_of("NEWUSDT").liquidated("short", 50.0, 1)


def test_funding_is_at_its_settlements_and_nothing_is_made_up() -> None:
    raw = raw_market(100)
    assert raw.funding is not None
    history = History.from_raw(raw)
    prices = prices_of(raw, history)
    paid = np.diff(prices.funding, prepend=0.0)
    inside = raw.funding[raw.funding["time"].isin(history.time)]
    rows = history.time.get_indexer(pd.DatetimeIndex(inside["time"]).as_unit("ms"))
    np.testing.assert_allclose(
        paid[rows], inside["funding_rate"].to_numpy() * history.column("close")[rows], rtol=1e-9, atol=1e-15
    )
    assert np.count_nonzero(paid) == len(rows)
    none = replace(raw, funding=None)
    without = prices_of(none, History.from_raw(none))
    assert not without.funding.any()
    assert not without.funding_known.any()


def test_weeks_begin_on_monday() -> None:
    time = pd.DatetimeIndex(["2024-01-07 23:00", "2024-01-08 00:00", "2024-01-14 23:00"], tz="UTC")
    first, second, third = week_number(time)
    assert (second, third) == (first + 1, first + 1)
