"""Several positions in one account: added up, netted, held below the caps."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.errors import DataError
from features.regimes import Regime
from serving.advice import AdviceParameters, MarketState, advise
from serving.portfolio import PortfolioCaps, portfolio_of
from serving.schemas import Account, Advice

PARAMETERS = AdviceParameters(volatility_edges=[], excursion_short=[[2.5]] * 4, excursion_long=[[2.5]] * 4)
NAMES = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")


def advice(regime: Regime = Regime.BEAR, risk: float | None = 0.02, symbol: str = "BTCUSDT") -> Advice:
    account = None if risk is None else Account(equity=10_000, risk_per_trade=risk)
    return advise(
        regime=regime,
        probabilities=[0.7, 0.1, 0.1, 0.1],
        prediction_set=[regime],
        market=MarketState(symbol, 100.0, 0.03, 0.0, 0.0, 8.0, 0.0),
        confirmed=False,
        parameters=PARAMETERS,
        degraded=[],
        model_state="fresh",
        simulated_model=False,
        account=account,
    )


def test_four_shorts_that_move_as_one_are_one_bet() -> None:
    alone = advice()
    assert alone.notional is not None
    found = portfolio_of(dict.fromkeys(NAMES, alone), 10_000.0)
    # four times 2 % is 8 %: half of each stays within 4 %
    assert found.factor == pytest.approx(0.5)
    assert found.bound_by == "risk"
    assert [one.notional for one in found.holdings] == [pytest.approx(alone.notional / 2)] * 4
    for one in found.holdings:
        assert (one.leverage, one.stop_price) == (alone.leverage, alone.stop_price)
        assert sum(part.notional or 0.0 for part in one.tranches) == pytest.approx(one.notional)
        assert sum((part.quantity or 0.0) * (part.price or 0.0) for part in one.tranches) == pytest.approx(
            one.notional
        )
        assert one.notional == pytest.approx(one.margin * one.leverage)
    assert found.risk == pytest.approx(400)
    assert found.net == pytest.approx(-2 * alone.notional)
    assert found.short_share == 1.0
    assert found.independent_bets == pytest.approx(1)
    assert len(found.assumed_correlations) == 6


def test_correlations_count_by_side() -> None:
    pair = {"BTCUSDT": advice(risk=0.01), "ETHUSDT": advice(risk=0.01)}
    none = portfolio_of(pair, 10_000.0, {("ETHUSDT", "BTCUSDT"): 0.0})
    assert none.risk == pytest.approx(100 * math.sqrt(2))
    assert (none.factor, none.bound_by, none.assumed_correlations) == (1.0, None, [])
    assert none.independent_bets == pytest.approx(2)
    hedged = pair | {"ETHUSDT": advice(Regime.BULL, risk=0.01)}
    against = portfolio_of(hedged, 10_000.0, {("BTCUSDT", "ETHUSDT"): 0.8})
    assert against.risk == pytest.approx(100 * math.sqrt(2 - 1.6))
    assert abs(against.net) < against.gross
    assert portfolio_of(hedged, 10_000.0).risk == pytest.approx(100 * math.sqrt(2))  # no credit for a guess


@given(
    st.lists(st.sampled_from(Regime), min_size=4, max_size=4),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.floats(0.001, 0.1),
    st.floats(0.01, 5),
    st.floats(0.01, 1),
)
def test_the_caps_hold_and_nothing_grows(
    regimes: list[Regime], numbers: list[float], risk: float, gross: float, margin: float
) -> None:
    pairs = [(a, b) for i, a in enumerate(NAMES) for b in NAMES[i + 1 :]]
    caps = PortfolioCaps(risk=risk, gross=gross, margin=margin)
    advices = {name: advice(regime) for name, regime in zip(NAMES, regimes, strict=True)}
    found = portfolio_of(advices, 10_000.0, dict(zip(pairs, numbers, strict=True)), caps)
    assert 0 < found.factor <= 1
    assert found.risk <= 10_000 * risk * (1 + 1e-6)
    assert found.gross <= 10_000 * gross * (1 + 1e-6)
    assert found.margin <= 10_000 * margin * (1 + 1e-6)
    assert all(one.notional <= one.wanted for one in found.holdings)
    assert found.gross == pytest.approx(sum(one.notional for one in found.holdings))
    assert set(found.aside) | {one.symbol for one in found.holdings} == set(NAMES)
    assert set(found.aside.values()) <= {"flat"}


def test_an_empty_portfolio_is_one() -> None:
    found = portfolio_of({}, 1_000.0)
    assert (found.gross, found.net, found.factor, found.risk) == (0, 0, 1, 0)
    assert (found.short_share, found.independent_bets, found.bound_by) == (None, None, None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (({"BTCUSDT": advice()}, 0.0), "bad_equity"),
        (({"BTCUSDT": advice()}, math.nan), "bad_equity"),
        (({"BTCUSDT": advice(risk=None)}, 1_000.0), "no_account"),
        (({}, 1_000.0, {("A", "B"): 1.5}), "bad_correlation"),
        (({}, 1_000.0, {("A", "B"): math.nan}), "bad_correlation"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[Any, ...], code: str) -> None:
    with pytest.raises(DataError) as caught:
        portfolio_of(*arguments)
    assert caught.value.code == code
    with pytest.raises(ValidationError):
        PortfolioCaps(risk=0.5)
