"""Tiers and liquidation prices: the table of facts, the balance at liquidation, edges and inverses."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.margin import (
    Exchange,
    MarginTier,
    Position,
    adverse_move_to_liquidation,
    bankruptcy_price,
    effective_leverage,
    leverage_at,
    leverage_that_survives,
    liquidation_in_tiers,
    liquidation_price,
    maintenance_margin,
    margin_needed,
    tier_for,
    tiers,
)

SOURCED = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SIDES: tuple[Position, ...] = ("short", "long")
sides = st.sampled_from(SIDES)
leverages = st.floats(1.05, 20)
rates = st.floats(0.001, 0.03)
entries = st.floats(1e-4, 1e6)


def test_an_edge_belongs_to_the_tier_below() -> None:
    assert tier_for("binance", "BTCUSDT").rate == 0.004
    assert tier_for("binance", "BTCUSDT", 50_000).rate == 0.004
    assert tier_for("binance", "BTCUSDT", 50_001).rate == 0.005
    assert tier_for("binance", "BTCUSDT", 12_000_001).rate == 0.02
    assert tier_for("binance", "BTCUSDT", 1e12).rate == 0.5  # beyond the last tier: the last one
    assert maintenance_margin("binance", "BTCUSDT", 100_000) == 450  # 100,000 x 0.5 % - 50


@pytest.mark.parametrize(
    ("rate", "leverage", "percent"),
    [
        *((0.004, x, p) for x, p in ((2, 49.4), (3, 32.8), (5, 19.5), (10, 9.6), (20, 4.6))),
        *((0.01, x, p) for x, p in ((2, 48.5), (3, 32.0), (5, 18.8), (10, 8.9), (20, 4.0))),
        *((0.03, x, p) for x, p in ((2, 45.6), (3, 29.5), (5, 16.5), (10, 6.8), (20, 1.9))),
    ],
)
def test_moves_that_liquidate_a_short(rate: float, leverage: float, percent: float) -> None:
    move = adverse_move_to_liquidation("short", leverage, rate)
    assert 100 * move == pytest.approx(percent, abs=0.0503)  # the page rounds, once up from 29.4498


def test_prices_worked_out_by_hand() -> None:
    # 1 BTC short from 40,000 at 5x: (8,000 + 0 + 40,000) / 1.004
    assert liquidation_price("short", 40_000, 5, 0.004) == pytest.approx(47_808.7649, abs=1e-4)
    # the same long: (8,000 - 40,000) / (0.004 - 1)
    assert liquidation_price("long", 40_000, 5, 0.004) == pytest.approx(32_128.5141, abs=1e-4)
    # 10 BTC short: 480,000 at the end lies in tier 2: (80,000 + 50 + 400,000) / (10 x 1.005)
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", "short", 40_000, 5, 10)
    assert price == pytest.approx(47_766.1692, abs=1e-4)
    assert tier.rate == 0.005
    # OKX at 3 %: (40,000 + 8,000) / (1 + 0.03 + 0.0005) and (40,000 - 8,000) / (1 - 0.0305)
    okx, tier = liquidation_in_tiers("okx", "BTCUSDT", "short", 40_000, 5, 10)
    assert okx == pytest.approx(46_579.3304, abs=1e-4)
    assert not tier.known
    assert liquidation_price("long", 40_000, 5, 0.03, exchange="okx") == pytest.approx(33_006.7045, abs=1e-4)


def test_the_tier_is_that_of_the_liquidation_price_not_of_the_entry() -> None:
    # 1.1 BTC from 43,000 is 47,300 at entry (tier 1) and above 50,000 where it is liquidated
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", "short", 43_000, 5, 1.1)
    assert tier.rate == 0.005
    assert price * 1.1 > 50_000 > 43_000 * 1.1
    # and a long falls out of its tier: 55,000 at entry, 43,964 at liquidation
    _, tier = liquidation_in_tiers("binance", "BTCUSDT", "long", 50_000, 5, 1.1)
    assert tier.rate == 0.004


INCOMPLETE = (
    MarginTier(0.0, 3_000_000, 75, 0.0065, 950, True),
    MarginTier(3_000_000, 12_000_000, 50, 0.01, 11_450, True),
    MarginTier(12_000_000, math.inf, 20, 0.03, 0, False),
)


@pytest.fixture
def incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that does not reach to the exchange's last tier."""
    monkeypatch.setattr("serving.margin.tiers", lambda *_: INCOMPLETE)


@pytest.mark.usefixtures("incomplete")
def test_a_short_that_grows_beyond_the_sourced_tiers_ends_at_their_edge() -> None:
    # 11.9 M at 30x: 1.0 % alone would end at 12.18 M, the assumed 3 % at 11.94 M, below its floor
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", "short", 100.0, 30, 119_000)
    assert price * 119_000 == pytest.approx(12_000_000)
    assert not tier.known


@pytest.mark.usefixtures("incomplete")
def test_the_search_begins_at_the_entry() -> None:
    # a long of 11.9 M at 50x never comes to the tier above: (11.9 M x 0.98 - 11,450) / 0.99
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", "long", 100.0, 50, 119_000)
    assert price * 119_000 == pytest.approx((11_900_000 * 0.98 - 11_450) / 0.99)
    assert tier.known
    # a short of 12.01 M at 150x has less than the assumed 3 % from the start: not tier 4's business
    _, tier = liquidation_in_tiers("binance", "BTCUSDT", "short", 100.0, 150, 120_100)
    assert not tier.known


def test_a_position_larger_than_the_last_tier_is_taken_by_that_one() -> None:
    # 2,000 M short at 1x: 1,000 coins from 2 M; (2,000 M + 421,481,450 + 2,000 M) / (1,000 x 1.5)
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", "short", 2e6, 1, 1_000)
    assert price == pytest.approx(2_947_654.3, abs=0.05)
    assert tier.rate == 0.5


def test_fees_and_funding_paid_come_out_of_the_margin() -> None:
    # 0.5 BTC short from 40,000 at 5x, 200 paid: (4,000 - 200 + 20,000) / (0.5 x 1.004)
    price, _ = liquidation_in_tiers("binance", "BTCUSDT", "short", 40_000, 5, 0.5, costs=200 / 20_000)
    assert price == pytest.approx(47_410.3586, abs=1e-4)
    # the long: (3,800 - 20,000) / (0.5 x (0.004 - 1))
    price, _ = liquidation_in_tiers("binance", "BTCUSDT", "long", 40_000, 5, 0.5, costs=200 / 20_000)
    assert price == pytest.approx(32_530.1205, abs=1e-4)
    assert bankruptcy_price("short", 40_000, 5, costs=0.01) == pytest.approx(40_000 * 1.19)
    assert bankruptcy_price("long", 40_000, 5, costs=0.01) == pytest.approx(40_000 * 0.81)
    assert effective_leverage(22_000, 2_000) == 11
    assert effective_leverage(22_000, 0) == math.inf


@given(sides, entries, leverages, rates, st.floats(-0.02, 0.02))
def test_price_and_leverage_are_inverse(
    side: Position, entry: float, leverage: float, rate: float, costs: float
) -> None:
    """Also with costs, and bankruptcy always comes after liquidation."""
    price = liquidation_price(side, entry, leverage, rate, costs=costs)
    assert leverage_at(side, entry, price, rate, costs=costs) == pytest.approx(leverage, rel=1e-9)
    bankrupt = bankruptcy_price(side, entry, leverage, costs)
    if bankrupt > 0:
        assert price < bankrupt if side == "short" else price > bankrupt
    dearer = liquidation_price(side, entry, leverage, rate, costs=costs + 0.001)
    assert dearer < price if side == "short" else dearer > price


@given(sides, st.floats(0, 0.9), rates, st.floats(0, 0.02), st.floats(0.9, 1.1))
def test_a_worse_average_entry_needs_more_margin(
    side: Position, excursion: float, rate: float, costs: float, entry: float
) -> None:
    """And with what it needs the liquidation price is the excursion itself."""
    needed = margin_needed(side, excursion, rate, costs, entry)
    plain = margin_needed(side, excursion, rate, costs)
    worse = entry < 1 if side == "short" else entry > 1
    assert needed >= plain if worse else needed <= plain
    if needed > 1e-3:
        price = liquidation_price(side, entry, 1 / needed, rate, costs=costs)
        assert price == pytest.approx(1 + excursion if side == "short" else 1 - excursion)


@given(sides, entries, leverages, st.floats(10, 8e6))
def test_at_liquidation_what_is_left_equals_the_maintenance_margin(
    side: Position, entry: float, leverage: float, notional: float
) -> None:
    quantity = notional / entry
    price, tier = liquidation_in_tiers("binance", "BTCUSDT", side, entry, leverage, quantity)
    there = quantity * price
    left = notional / leverage + (1 if side == "long" else -1) * (there - notional)
    assert left == pytest.approx(maintenance_margin("binance", "BTCUSDT", there), abs=1e-7 * notional)
    assert tier.floor * (1 - 1e-9) <= there <= tier.up_to * (1 + 1e-9)


@given(sides, entries, leverages, st.floats(1_000, 1e8))
def test_no_earlier_price_liquidates(side: Position, entry: float, leverage: float, notional: float) -> None:
    """All along the way more than the minimum is left."""
    quantity = notional / entry
    price, _ = liquidation_in_tiers("binance", "BTCUSDT", side, entry, leverage, quantity)
    sign = 1 if side == "long" else -1
    for share in (0.0, 0.25, 0.5, 0.75, 0.9, 0.999):
        between = entry + share * (price - entry)
        left = notional / leverage + sign * quantity * (between - entry)
        assert left >= maintenance_margin("binance", "BTCUSDT", quantity * between) - 1e-9 * notional


@given(sides, entries, rates, leverages, st.floats(1.001, 2), st.sampled_from(["binance", "okx"]))
def test_more_leverage_is_liquidated_nearer(
    side: Position, entry: float, rate: float, leverage: float, more: float, exchange: Exchange
) -> None:
    far = abs(liquidation_price(side, entry, leverage, rate, exchange=exchange) - entry)
    near = liquidation_price(side, entry, leverage * more, rate, exchange=exchange) - entry
    assert (near if side == "short" else -near) < far


@given(sides, st.floats(100, 1e5), st.floats(1.1, 19), st.sampled_from([50_000.0, 600_000.0, 3_000_000.0]))
def test_liquidation_price_is_continuous_over_a_tier_edge(
    side: Position, entry: float, leverage: float, edge: float
) -> None:
    """The size whose notional at liquidation is the edge itself: a hair less or more, the same price."""
    tier = tier_for("binance", "BTCUSDT", edge)
    sign = 1 if side == "long" else -1
    # quantity x price = edge and (notional / L + sign x (edge - notional)) = maintenance margin
    notional = (edge * tier.rate - tier.amount - sign * edge) / (1 / leverage - sign)
    below, above = (
        liquidation_in_tiers("binance", "BTCUSDT", side, entry, leverage, notional / entry * factor)
        for factor in (1 - 1e-7, 1 + 1e-7)
    )
    assert below[0] == pytest.approx(above[0], rel=1e-6)
    assert below[1].rate < above[1].rate


@given(sides, st.floats(0, 0.95), rates)
def test_leverage_and_adverse_move_are_inverse(side: Position, excursion: float, rate: float) -> None:
    leverage = 1 / margin_needed(side, excursion, rate)
    assert adverse_move_to_liquidation(side, leverage, rate) == pytest.approx(excursion, abs=1e-9)


@given(sides, st.floats(0, 3), st.floats(0, 0.1), st.floats(1, 1e9), st.sampled_from([*SOURCED, "XUSDT"]))
def test_the_leverage_survives_the_excursion_in_its_tier(
    side: Position, q: float, costs: float, equity: float, symbol: str
) -> None:
    q = q if side == "short" else min(q, 0.99)
    ladder = tiers("binance", symbol)
    leverage, tier = leverage_that_survives(side, q, costs, ladder, equity)
    assert tier in ladder
    assert 0 < leverage <= tier.max_leverage
    at_worst = equity * leverage * (1 + q if side == "short" else 1)
    assert at_worst <= tier.up_to * (1 + 1e-9)
    left = 1 / leverage - costs - q
    assert left >= tier.rate * (1 + (q if side == "short" else -q)) - 1e-9
    smaller, _ = leverage_that_survives(side, q, costs, ladder, equity * 1.5)
    assert smaller <= leverage


def test_a_larger_account_moves_up_the_tiers() -> None:
    ladder = tiers("binance", "BTCUSDT")
    chosen = [leverage_that_survives("short", 0.3, 0.0, ladder, equity)[1].rate for equity in (1e3, 1e5, 5e5)]
    assert chosen == [0.004, 0.005, 0.0065]
    assert leverage_that_survives("short", 0.3, 0.0, ladder)[1].rate == 0.004
    just_over = 50_000 / 1.3 * (1.3 * 1.004 - 1) * 1.0001  # a hair too much for tier 1
    leverage, tier = leverage_that_survives("short", 0.3, 0.0, ladder, just_over)
    assert tier.rate == 0.004  # better to stay at its edge than to take tier 2's rate
    assert leverage < 1 / margin_needed("short", 0.3, 0.004)


def test_a_tiers_own_maximum_holds() -> None:
    tier = MarginTier(0.0, float("inf"), 20.0, 0.004, 0.0, True)
    assert leverage_that_survives("short", 0.0, 0.0, [tier]) == (20.0, tier)
