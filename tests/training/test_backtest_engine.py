"""The walk of accounts: against a plain one, against its own books, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scalar_accounts import scalar_walk
from small_training import LONG

from features.errors import DataError, UsageError
from serving.margin import Position, liquidation_in_tiers
from training.backtesting.costs import FIRST_EQUITY, Costs
from training.backtesting.engine import Walked, walk
from training.backtesting.ladders import Ladders
from training.backtesting.orders import Strategy, stacked
from training.backtesting.paths import Paths, bootstrapped_years

SYMBOLS = ("BTCUSDT", "DOGEUSDT", "SIMBTC")
NO_COSTS = Costs(taker=0.0, maker=0.0, slippage=0.0)


def random_paths(seed: int, bars: int = 240, volatility: float = 0.02) -> Paths:
    """Wild bars with gaps between them, missing ones, and funding every eight hours."""
    rng = np.random.default_rng(seed)
    shape = (bars, len(SYMBOLS))
    gap = rng.normal(0, volatility / 2, shape) * (rng.random(shape) < 0.3)
    move = rng.normal(0, volatility, shape) * np.where(rng.random(shape) < 0.05, 5, 1)
    start = np.array([40_000.0, 0.1, 2_000.0])
    close = start * np.exp(np.cumsum(gap + move, axis=0))
    open_ = close * np.exp(-move)
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility, shape)))
    missing = rng.random(shape) < 0.03
    missing[0] = False
    for prices in (open_, high, low, close):
        prices[missing] = np.nan
    mark = close.copy()
    for t in range(1, bars):
        mark[t] = np.where(missing[t], mark[t - 1], mark[t])
    settled = (np.arange(bars) % 8 == 7)[:, None]
    return Paths(
        time=None,
        open=open_,
        high=high,
        low=low,
        close=close,
        mark=mark,
        funding=np.where(settled, rng.normal(0, 0.002, shape), 0.0),
        assumed=np.where(settled & (rng.random(shape) < 0.2), 0.001, 0.0),
        row=np.tile(np.arange(bars)[:, None], (1, len(SYMBOLS))),
        symbol=np.arange(len(SYMBOLS)),
        symbols=SYMBOLS,
        per_day=24,
    )


def random_strategy(seed: int, bars: int = 240) -> Strategy:
    """Sides that last for some bars, any leverage, tranches, stops and targets or none."""
    rng = np.random.default_rng(seed + 1000)
    shape = (bars, len(SYMBOLS))
    lasting = np.repeat(rng.integers(-1, 2, (bars // 12 + 1, len(SYMBOLS))), 12, axis=0)[:bars]
    leverage = rng.choice([1.0, 2.0, 5.0, 20.0], shape)
    endless = rng.random() < 0.3
    stop = np.full(shape, np.inf) if endless else rng.uniform(0.01, 0.2, shape)
    shares = [(1.0, 0.0, 0.0), (0.3, 0.3, 0.4), (0.3, 0.3, 0.0)][rng.integers(3)]
    whole = np.where(np.isfinite(stop), stop, 0.06)
    second = np.where(rng.random(shape) < 0.3, 0.0, whole * rng.uniform(0.1, 0.5, shape))
    return Strategy(
        name=f"random_{seed}",
        words="",
        side=lasting.astype(np.int8),
        notional=leverage * rng.uniform(0.1, 1.0, shape),
        leverage=leverage,
        second=second,
        third=np.maximum(second, whole * rng.uniform(0.3, 0.9, shape)),
        stop=stop,
        target=np.full(shape, np.inf) if endless else rng.uniform(0.01, 0.3, shape),
        resize=rng.random(bars) < 0.05,
        shares=shares,
        wait=int(rng.integers(1, 30)),
    )


def always(paths: Paths, side: int, leverage: float, **changes: object) -> Strategy:
    """One side with the whole equity, never touched."""
    shape = (len(paths), len(paths.symbols))
    plain = Strategy(
        name="always",
        words="",
        side=np.full(shape, side, dtype=np.int8),
        notional=np.full(shape, leverage),
        leverage=np.full(shape, leverage),
        second=np.zeros(shape),
        third=np.zeros(shape),
        stop=np.full(shape, np.inf),
        target=np.full(shape, np.inf),
        resize=np.zeros(len(paths), dtype=bool),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def by_hand(rows: list[tuple[float, float, float, float]], funding: dict[int, float] | None = None) -> Paths:
    """One market of bitcoin from rows of open, high, low and close."""
    prices = np.array(rows, dtype=float)
    zero = np.zeros((len(rows), 1))
    rates = zero.copy()
    for bar, rate in (funding or {}).items():
        rates[bar] = rate
    return Paths(
        time=None,
        open=prices[:, :1],
        high=prices[:, 1:2],
        low=prices[:, 2:3],
        close=prices[:, 3:],
        mark=prices[:, 3:],
        funding=rates,
        assumed=zero,
        row=np.arange(len(rows))[:, None],
        symbol=np.zeros(1, dtype=np.intp),
        symbols=("BTCUSDT",),
        per_day=24,
    )


def recorded(paths: Paths, strategy: Strategy, costs: Costs = NO_COSTS) -> Walked:
    return walk(paths, stacked([strategy]), costs, record=True)


@pytest.mark.parametrize("seed", range(200 if LONG else 6))
def test_equal_to_a_plain_account_to_the_cent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = Costs(
        delay=int(rng.choice([1, 1, 3])),
        funding_multiple=float(rng.choice([1.0, 2.0])),
        stops_at_extreme=bool(rng.random() < 0.3),
    )
    paths = random_paths(seed, volatility=float(rng.choice([0.005, 0.02, 0.05])))
    mine = [random_strategy(10 * seed + k) for k in range(3)]
    got = walk(paths, stacked(mine), costs, record=True)
    assert got.equity is not None
    for s, strategy in enumerate(mine):
        for column in range(len(SYMBOLS)):
            plain = scalar_walk(paths, strategy, costs, column)
            cents = got.equity[:, s, column] * FIRST_EQUITY
            np.testing.assert_allclose(cents, plain.equity, rtol=1e-9, atol=0.005)
            assert got.liquidations[0, s, column] == plain.liquidations
            for name in ("fees", "slippage", "funding", "gain", "kept"):
                value = getattr(got, name)[0, s, column] * FIRST_EQUITY
                assert value == pytest.approx(getattr(plain, name), rel=1e-9, abs=0.005), name


def test_the_oracle_s_accounts_live_through_everything() -> None:
    """A comparison of accounts in which nothing happens would prove nothing."""
    liquidated = fees = funding = kept = 0.0
    for seed in range(8):
        paths, strategy = random_paths(seed, volatility=0.02), random_strategy(10 * seed)
        one = walk(paths, stacked([strategy]), Costs())
        liquidated += one.liquidations.sum()
        fees, funding, kept = fees + one.fees.sum(), funding + abs(one.funding).sum(), kept + one.kept.sum()
    assert liquidated > 5
    assert min(fees, funding, kept) > 0.1


def test_every_amount_is_booked_once() -> None:
    for seed in range(5):
        paths = random_paths(seed, volatility=0.02)
        got = walk(paths, stacked([random_strategy(seed), random_strategy(seed + 50)]), Costs())
        booked = 1 + got.gain - got.fees - got.slippage - got.funding - got.kept
        np.testing.assert_allclose(got.final, booked, atol=1e-9)


def test_the_ladders_are_those_of_the_margin_engine() -> None:
    rng = np.random.default_rng(3)
    ladders = Ladders(SYMBOLS)
    count = 400
    symbol = rng.integers(0, len(SYMBOLS), count)
    leverage = rng.uniform(1.2, 20, count)
    notional = 10 ** rng.uniform(2, 8, count)
    side = rng.choice([-1.0, 1.0], count)
    entry = np.array([40_000.0, 0.1, 2_000.0])[symbol]
    quantity = notional / entry
    price, _ = ladders.liquidation(symbol, side * quantity, entry, notional / leverage)
    for k in range(count):
        name: Position = "short" if side[k] < 0 else "long"
        expected, _ = liquidation_in_tiers(
            "binance", SYMBOLS[symbol[k]], name, entry[k], leverage[k], quantity[k]
        )
        assert price[k] == pytest.approx(expected, rel=1e-12)


def test_a_short_of_5x_is_liquidated_where_the_formula_says() -> None:
    """10,000 of margin, 50,000 short at 100: (100 x 500 + 10,000) / (500 x 1.005), less the amount of 50."""
    level = (100 * 500 + 10_000 + 50) / (500 * 1.005)
    for high, dead in ((level - 0.01, 0), (level + 0.01, 1)):
        paths = by_hand([(100, 100, 100, 100), (100, 101, 99, 100), (100, high, 99, 100)])
        got = recorded(paths, always(paths, -1, 5.0))
        assert got.liquidations.sum() == dead
        assert got.final[0, 0, 0] == pytest.approx(0.0 if dead else 1.0, abs=1e-9)
        if not dead:
            assert got.distance is not None
            assert got.distance[2, 0, 0] == pytest.approx(level / high - 1)


def test_a_long_of_20x_is_liquidated_and_its_margin_is_gone_whatever_the_gap() -> None:
    paths = by_hand([(100, 100, 100, 100), (100, 101, 99, 100), (60, 61, 59, 60)])
    got = recorded(paths, always(paths, 1, 20.0, notional=np.full((3, 1), 10.0)))
    assert got.liquidations.sum() == 1
    assert got.final[0, 0, 0] == pytest.approx(0.5)


def test_funding_is_paid_at_its_stamp_by_the_side_that_owes_it() -> None:
    rows = [(100.0, 100.0, 100.0, 100.0)] * 4
    paths = by_hand(rows, funding={0: 0.5, 2: 0.01})
    short, long = (recorded(paths, always(paths, side, 1.0)) for side in (-1, 1))
    assert short.equity is not None
    assert long.equity is not None
    assert short.equity[:, 0, 0] == pytest.approx([1, 1, 1.01, 1.01])
    assert long.equity[:, 0, 0] == pytest.approx([1, 1, 0.99, 0.99])
    doubled = recorded(paths, always(paths, -1, 1.0), replace(NO_COSTS, funding_multiple=2.0))
    assert doubled.final[0, 0, 0] == pytest.approx(1.02)


def test_funding_can_liquidate() -> None:
    paths = by_hand([(100.0, 100.0, 100.0, 100.0)] * 4, funding={1: -0.099})
    got = recorded(paths, always(paths, -1, 10.0))
    assert got.liquidations.sum() == 1


def test_tranches_are_filled_as_prices_allow_and_the_stop_comes_last() -> None:
    flat = (100.0, 100.0, 100.0, 100.0)
    stop = 3 * np.log(1.1)
    plan = {
        "shares": (0.3, 0.3, 0.4),
        "notional": np.full((4, 1), 0.5),
        "stop": np.full((4, 1), stop),
        "second": np.full((4, 1), stop / 3),
        "third": np.full((4, 1), stop * 2 / 3),
    }
    paths = by_hand([flat, flat, (100, 112, 100, 100), (100, 100, 100, 100)])
    got = recorded(paths, always(paths, -1, 1.0, **plan))
    quantity = (0.15 / 100, 0.15 / 110)
    assert got.final[0, 0, 0] == pytest.approx(1 + quantity[1] * 10)
    through = by_hand([flat, flat, (100, 140, 100, 140), (140, 140, 140, 140)])
    got = recorded(through, always(through, -1, 1.0, **plan, wait=99))
    out = 133.1
    loss = 0.15 / 100 * (out - 100) + 0.15 / 110 * (out - 110) + 0.2 / 121 * (out - 121)
    assert got.final[0, 0, 0] == pytest.approx(1 - loss)


def test_a_stop_that_is_jumped_over_is_filled_at_the_open_or_at_the_worst_price() -> None:
    flat = (100.0, 100.0, 100.0, 100.0)
    paths = by_hand([flat, flat, (120, 125, 118, 120)])
    short = always(paths, -1, 1.0, stop=np.full((3, 1), np.log(1.1)))
    assert recorded(paths, short).final[0, 0, 0] == pytest.approx(0.80)
    worst = recorded(paths, short, replace(NO_COSTS, stops_at_extreme=True))
    assert worst.final[0, 0, 0] == pytest.approx(0.75)


def test_what_is_decided_at_a_close_is_done_at_a_later_open() -> None:
    rows = [(100.0, 100.0, 100.0, 100.0), (110, 110, 110, 110), (120, 120, 120, 120), (130, 130, 130, 130)]
    paths = by_hand(rows)
    one = recorded(paths, always(paths, 1, 1.0))
    assert one.final[0, 0, 0] == pytest.approx(130 / 110)
    three = recorded(paths, always(paths, 1, 1.0), replace(NO_COSTS, delay=3))
    assert three.final[0, 0, 0] == pytest.approx(1.0)
    with pytest.raises(UsageError, match="delay of 0"):
        Costs(delay=0)


@pytest.mark.parametrize("seed", range(5))
def test_another_future_changes_no_past(seed: int) -> None:
    paths, other = random_paths(seed), random_paths(seed + 99)
    mine, changed = random_strategy(seed), random_strategy(seed + 99)
    cut = 120
    joined = {
        name: np.concatenate([getattr(paths, name)[:cut], getattr(other, name)[cut:]])
        for name in ("open", "high", "low", "close", "mark", "funding", "assumed")
    }
    tables = {
        name: np.concatenate([getattr(mine, name)[: cut - 1], getattr(changed, name)[cut - 1 :]])
        for name in ("side", "notional", "leverage", "second", "third", "stop", "target", "resize")
    }
    first, second = (
        recorded(paths, mine, Costs()),
        recorded(
            replace(paths, **joined),  # type: ignore[arg-type]
            replace(mine, **tables),  # type: ignore[arg-type]
            Costs(),
        ),
    )
    assert first.equity is not None
    assert second.equity is not None
    np.testing.assert_array_equal(first.equity[:cut], second.equity[:cut])
    assert (first.equity[cut:] != second.equity[cut:]).any()


def test_accounts_that_begin_later_are_walks_of_the_later_market() -> None:
    """Each is what a walk alone gives that knows the bar before its first one and stays out of it."""
    paths, strategy = random_paths(4), random_strategy(4)
    starts = np.array([0, 24, 48, 96])
    many = walk(paths, stacked([strategy]), Costs(), starts=starts, length=120)
    for place, start in enumerate(starts):
        alone = walk(paths, stacked([strategy]), Costs(), starts=starts[place : place + 1], length=120)
        np.testing.assert_array_equal(many.final[place], alone.final[0])
        np.testing.assert_array_equal(many.held[place], alone.held[0])
        if start:
            side = strategy.side.copy()
            side[: start - 1] = 0
            later = replace(strategy, side=side)
            plain = walk(paths, stacked([later]), Costs(), starts=np.array([0]), length=int(start) + 120)
            np.testing.assert_allclose(many.final[place], plain.final[0], rtol=1e-12)
    with pytest.raises(DataError, match="do not fit"):
        walk(paths, stacked([strategy]), Costs(), starts=np.array([200]), length=120)


def test_bootstrapped_years_are_made_of_the_market_s_own_days() -> None:
    paths = random_paths(1, bars=24 * 20)
    years = bootstrapped_years(paths, 7, block_days=5, days=12)
    assert years.open.shape == (12 * 24, 7 * len(SYMBOLS))
    source = years.row
    for column in range(years.open.shape[1]):
        symbol = years.symbol[column]
        steps = np.diff(source[:, column])
        assert (steps != 1).sum() <= 2 + 2  # seams of three blocks, and where one goes on at the beginning
        with np.errstate(invalid="ignore"):
            got = years.high[:, column] / years.close[:, column]
            real = paths.high[source[:, column], symbol] / paths.close[source[:, column], symbol]
        np.testing.assert_allclose(got, real, rtol=1e-9)
        np.testing.assert_array_equal(years.funding[:, column], paths.funding[source[:, column], symbol])
    with pytest.raises(DataError, match="less than one block"):
        bootstrapped_years(paths, 2, block_days=50)


def test_tables_that_make_no_sense_are_refused() -> None:
    paths = random_paths(1)
    with pytest.raises(DataError, match="no strategy is left"):
        stacked([])
    nameless = replace(always(paths, 1, 1.0), leverage=np.full((240, 3), np.nan))
    with pytest.raises(DataError, match="leverage is negative or no number"):
        stacked([nameless])
