"""The advice: by hand, redone from its own steps, and as properties over everything that can be missing."""

from __future__ import annotations

import json
import math
import re
import time
import timeit
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.regimes import Regime
from features.signals import Reading, SignalState
from serving.advice import HAIRCUTS, AdviceParameters, MarketState, advise, assumptions, reasons
from serving.excursion import Squeeze
from serving.margin import Position, liquidation_price
from serving.schemas import Account, Advice, OpenPosition

NAN = math.nan
SHORT_SCALES = [[3.0, 2.5, 2.0], [2.6, 2.2, 1.8], [3.6, 3.0, 2.4], [3.2, 2.7, 2.1]]
LONG_SCALES = [[3.4, 2.8, 2.3], [2.7, 2.3, 1.9], [3.1, 2.6, 2.1], [2.9, 2.4, 2.0]]
PARAMETERS = AdviceParameters(
    volatility_edges=[-0.25, 0.2], excursion_short=SHORT_SCALES, excursion_long=LONG_SCALES
)
SIGMA_10 = math.log(1.25) / (2.5 * math.sqrt(7))
"""With the bear's middle scale of 2.5 this volatility makes a short's q exactly 25 %."""


def market(**changes: Any) -> MarketState:
    numbers: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "close": 40_000.0,
        "sigma_day": SIGMA_10,
        "volatility_ratio": 0.0,
        "funding_mean_3d": 0.0001,
        "funding_interval_hours": 8.0,
        "distance_from_mean_20d": 0.0,
    }
    return MarketState(**(numbers | changes))


def advice(**changes: Any) -> Advice:
    arguments: dict[str, Any] = {
        "regime": Regime.BEAR,
        "probabilities": [0.8, 0.1, 0.06, 0.04],
        "prediction_set": [Regime.BEAR],
        "market": market(),
        "confirmed": False,
        "parameters": PARAMETERS,
        "degraded": [],
        "model_state": "fresh",
        "simulated_model": False,
        "account": None,
    }
    return advise(**(arguments | changes))


def steps(answer: Advice) -> dict[str, float]:
    named = {step.name: step.value for step in answer.calculation}
    assert len(named) == len(answer.calculation)
    return named


def numbers(value: object) -> Iterator[float]:
    """Every number of a dumped answer."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield float(value)


def test_a_bear_worked_out_by_hand() -> None:
    answer = advice()
    # 1/L = 1.25 x 1.004 - 1 + 0.001 = 0.256 (funding of 21 x 0.01 % is received): 3.906 -> 3.9
    assert answer.side == "short"
    assert answer.leverage == answer.leverage_short == 3.9
    assert answer.survival.adverse_excursion == pytest.approx(0.25)
    assert answer.survival.liquidation_price == pytest.approx(40_000 * (1 + 1 / 3.9) / 1.004)
    # fees of 0.1 % paid, nothing else filled: the worst moment is the first fill
    worst = 40_000 * (1 + 1 / 3.9 - 0.001) / 1.004
    assert answer.survival.worst_liquidation_price == pytest.approx(worst)
    assert worst >= 40_000 * 1.25
    assert steps(answer)["short_margin_needed"] == pytest.approx(0.256)
    assert steps(answer)["short_funding_paid"] == pytest.approx(-0.0021)
    # the long's scale is 2.8: q = 1 - 1.25^(-2.8/2.5) = 0.22113; 1 - 0.77887 x 0.996 + 0.001 + 0.0021
    q = 1 - 1.25 ** (-2.8 / 2.5)
    assert steps(answer)["long_adverse_excursion"] == pytest.approx(q)
    assert steps(answer)["long_margin_needed"] == pytest.approx(1 - (1 - q) * 0.996 + 0.001 + 0.0021)
    assert answer.leverage_long == 4.3  # 1 / 0.22735 = 4.398
    assert (answer.leverage_cap, answer.size_factor, answer.haircuts) == (5.0, 1.0, [])
    # a week's volatility is 1.25^(1/2.5): stop 1.5 of it away, target 2, tranches at thirds to the stop
    assert [(t.share, t.trigger, t.price) for t in answer.tranches] == [
        (0.3, "signal", 40_000.0),
        (0.3, "confirmation", pytest.approx(40_000 * 1.25**0.2)),
        (0.4, "reserve", pytest.approx(40_000 * 1.25**0.4)),
    ]
    averages = [t.average_entry for t in answer.tranches]
    assert averages == [
        pytest.approx(40_000),
        pytest.approx(0.6 / (0.3 / 40_000 + 0.3 / (40_000 * 1.25**0.2))),
        pytest.approx(1 / (0.3 / 40_000 + 0.3 / (40_000 * 1.25**0.2) + 0.4 / (40_000 * 1.25**0.4))),
    ]
    assert [t.liquidation_price for t in answer.tranches] == [
        pytest.approx(entry * (1 + 1 / 3.9) / 1.004) for entry in averages if entry
    ]
    assert answer.stop_price == pytest.approx(40_000 * 1.25**0.6)
    assert answer.target_price == pytest.approx(40_000 * 1.25**-0.8)
    assert answer.funding_per_day is not None
    assert answer.funding_per_day.rate == pytest.approx(-0.0003)
    assert answer.funding_per_day.money is None
    assert answer.funding_per_day.spike_rate == pytest.approx(0.009)  # 0.30 % x 3 for BTC
    assert answer.notional is answer.margin is None
    assert answer.withheld == dict.fromkeys(("notional", "margin", "funding_per_day.money"), "no_account")
    assert (answer.position, answer.rally, answer.band) == (None, None, None)
    assert assumptions(answer) == ()


def test_sizes_by_hand() -> None:
    answer = advice(account=Account(equity=10_000, risk_per_trade=0.02))
    stop, second, third = 1.25**0.6, 1.25**0.2, 1.25**0.4
    loss = 0.3 * (stop - 1) + 0.3 * (stop / second - 1) + 0.4 * (stop / third - 1) + 0.001
    assert steps(answer)["loss_at_stop"] == pytest.approx(loss)
    assert answer.notional is not None
    assert answer.notional == pytest.approx(200 / loss)  # 2,375: below 39,000 by leverage
    assert answer.margin == pytest.approx(200 / loss / 3.9)
    sizes = [t.notional for t in answer.tranches]
    assert sizes == [pytest.approx(share * 200 / loss) for share in (0.3, 0.3, 0.4)]
    lost = sum(t.quantity * (40_000 * stop - t.price) for t in answer.tranches if t.quantity and t.price)
    assert lost + 0.001 * answer.notional == pytest.approx(200)
    assert answer.funding_per_day is not None
    assert answer.funding_per_day.money == pytest.approx(-0.0003 * answer.notional)
    assert answer.funding_per_day.spike_money == pytest.approx(0.009 * answer.notional)
    assert answer.withheld == {}


def test_a_range_has_half_the_size_and_goes_back_to_its_mean() -> None:
    away = 0.8 * SIGMA_10 * math.sqrt(20)
    arguments: dict[str, Any] = {
        "regime": Regime.RANGING,
        "prediction_set": [Regime.RANGING],
        "market": market(distance_from_mean_20d=0.8),
        "account": Account(equity=10_000),
    }
    answer = advice(**arguments)
    half = 0.5 * SIGMA_10 * math.sqrt(20)
    assert answer.band is not None
    assert answer.band.mean == answer.target_price == pytest.approx(40_000 * math.exp(-away))
    assert answer.band.upper == pytest.approx(answer.band.mean * math.exp(half))
    assert answer.band.lower == pytest.approx(answer.band.mean * math.exp(-half))
    assert answer.stop_price == pytest.approx(40_000 * 1.25 ** (1 / 2.5))
    assert steps(answer)["risk_money"] == 50  # 10,000 x 1 % x 0.5
    unknown = advice(**(arguments | {"market": market(distance_from_mean_20d=NAN)}))
    assert (unknown.band, unknown.withheld["band"]) == (None, "no_distance_from_mean")
    assert unknown.withheld["stop_price"] == "flat"


@pytest.mark.parametrize(
    ("probabilities", "phase", "back"),
    [
        ([0.2, 0.1, 0.5, 0.2], "running", 0.5),
        ([0.5, 0.1, 0.3, 0.1], "back_to_bear", 5 / 6),
        ([0.1, 0.1, 0.3, 0.5], "turning_bull", 1 / 6),
        ([0.0, 0.5, 0.5, 0.0], "running", None),
        ([NAN, NAN, NAN, NAN], "running", None),
    ],
)
def test_what_says_that_a_rally_is_ending(probabilities: list[float], phase: str, back: float | None) -> None:
    answer = advice(regime=Regime.RELIEF_RALLY, probabilities=probabilities)
    assert answer.rally is not None
    assert answer.rally.phase == phase
    assert answer.rally.back_to_bear == (None if back is None else pytest.approx(back))
    if back is not None:
        assert answer.rally.turning_bull == pytest.approx(1 - back)
    if answer.tranches:
        due = answer.tranches[1].price == 40_000.0
        assert due == (phase == "back_to_bear")


def test_the_second_tranche_of_a_confirmed_bear_is_due_at_once() -> None:
    answer = advice(confirmed=True)
    assert [t.price for t in answer.tranches[:2]] == [40_000.0, 40_000.0]
    assert answer.tranches[2].price == pytest.approx(40_000 * 1.25**0.4)
    assert answer.leverage == advice().leverage == 3.9
    assert "the signals confirm the bear" in answer.tranches[1].words


def test_a_model_of_squeezes_takes_the_tables_place() -> None:
    squeeze = Squeeze(
        (0.5, 0.99, 0.995), {7: (0.04, 0.15, 0.20), 1: (0.01, 0.05, 0.06)}, {7: (0.03, 0.12, 0.16)}
    )
    position = OpenPosition(side="short", notional=20_000, entry=40_000, leverage=5)
    answer = advice(squeeze=squeeze, account=Account(equity=10_000, position=position))
    named = steps(answer)
    log_move = named["short_excursion_scale"] * named["volatility"]
    assert math.exp(log_move) - 1 == pytest.approx(0.20)
    assert named["short_adverse_excursion"] == answer.survival.adverse_excursion == 0.20
    assert answer.leverage == 4.8  # 1 / (1.2 x 1.004 - 1 + 0.001) = 4.85
    report = answer.position
    assert report is not None
    distance = 1.2 / 1.004 - 1  # 19.5 %, a hair below the 99.5 % quantile
    log_chance = math.log(0.01) + (distance - 0.15) / 0.05 * (math.log(0.005) - math.log(0.01))
    assert report.chance_7d == pytest.approx(math.exp(log_chance))
    assert report.chance_1d == pytest.approx(0.005)  # beyond the largest quantile: its own chance
    assert report.chance_3d is None
    assert answer.withheld == {"position.chance_3d": "too_few_quantiles"}


def test_an_account_chooses_the_survival_level() -> None:
    squeeze = Squeeze((0.5, 0.99, 0.995), {7: (0.04, 0.15, 0.20)}, {7: (0.03, 0.12, 0.16)})
    found = advice(squeeze=squeeze, account=Account(equity=10_000, survival_level=0.99))
    assert (found.survival.level, found.survival.adverse_excursion) == (0.99, 0.15)
    assert steps(found)["survival_level"] == 0.99
    assert found.leverage == 5.0  # the cap; 1 / (1.15 x 1.004 - 1 + 0.001) = 6.4
    between = advice(squeeze=squeeze, account=Account(equity=10_000, survival_level=0.9925))
    assert 0.15 < between.survival.adverse_excursion < 0.20
    table = advice(account=Account(equity=10_000, survival_level=0.99))  # it knows one level alone
    assert table.survival == advice().survival
    assert table.withheld["account.survival_level"] == "squeeze_missing"
    with pytest.raises(ValidationError):
        Account(equity=10_000, survival_level=0.5)


def test_negative_funding_is_paid_by_the_short() -> None:
    answer = advice(market=market(funding_mean_3d=-0.001, funding_interval_hours=4.0))
    # 42 settlements x 0.1 % = 4.2 %: 1/L = 0.256 + 0.042 = 0.298 -> 3.3
    assert answer.leverage == 3.3
    assert answer.funding_per_day is not None
    assert answer.funding_per_day.rate == pytest.approx(0.006)


@pytest.mark.parametrize(
    ("regime", "p", "confirmed", "share", "side"),
    [
        (Regime.BEAR, 0.8, False, 0.60, "short"),
        (Regime.BEAR, 0.8, True, 0.68, "short"),
        (Regime.BEAR, 1.0, True, 0.70, "short"),
        (Regime.RELIEF_RALLY, 0.5, False, 0.515, "short"),
        (Regime.RELIEF_RALLY, 0.5, True, 0.53, "short"),
        (Regime.RELIEF_RALLY, 0.0, True, 0.50, "flat"),
        (Regime.BULL, 0.9, True, 0.31, "long"),
        (Regime.BULL, 0.5, False, 0.35, "long"),
        (Regime.RANGING, 0.9, True, 0.50, "flat"),
    ],
)
def test_short_share(regime: Regime, p: float, confirmed: bool, share: float, side: str) -> None:
    answer = advice(regime=regime, probabilities=[p] * 4, confirmed=confirmed)
    assert answer.short_share == pytest.approx(share)
    assert answer.side == side


def test_an_open_short_counts_as_a_filled_plan() -> None:
    position = OpenPosition(side="short", notional=1_000, entry=40_000, leverage=2)
    account = Account(equity=1_000, position=position)
    answer = advice(regime=Regime.RELIEF_RALLY, probabilities=[0, 0, 0.5, 0.5], account=account)
    assert answer.short_share == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("distance", "side"),
    [(0.51, "short"), (0.5, "flat"), (-0.5, "flat"), (-0.51, "long"), (NAN, "flat")],
)
def test_a_range_is_traded_against_its_mean_at_half_size(distance: float, side: str) -> None:
    answer = advice(
        regime=Regime.RANGING,
        prediction_set=[Regime.RANGING],
        market=market(distance_from_mean_20d=distance),
    )
    assert (answer.side, answer.size_factor, answer.short_share) == (side, 0.5, 0.5)
    if side == "flat":
        assert answer.leverage == 0
        assert answer.leverage_short > 0
        assert answer.tranches == []
        assert answer.funding_per_day is None
        assert answer.survival.liquidation_price is None
        assert answer.survival.adverse_excursion == pytest.approx(steps(answer)["short_adverse_excursion"])


@pytest.mark.parametrize(
    ("ratio", "bucket"), [(-9, 0), (-0.2501, 0), (-0.25, 1), (0.1999, 1), (0.2, 2), (9, 2), (NAN, 0)]
)
def test_the_volatility_bucket(ratio: float, bucket: int) -> None:
    """An edge belongs above; an unknown ratio takes the widest scale."""
    named = steps(advice(market=market(volatility_ratio=ratio)))
    assert named["short_excursion_scale"] == SHORT_SCALES[0][bucket]
    assert named["long_excursion_scale"] == LONG_SCALES[0][bucket]


@pytest.mark.parametrize(
    ("changes", "names", "leverage"),
    [
        ({"prediction_set": [0, 2]}, ["two_regimes_possible"], 3.3),  # 3.906 x 0.85 = 3.32
        ({"prediction_set": [0, 1, 2]}, ["many_regimes_possible"], 2.7),  # 2.73
        ({"prediction_set": []}, ["many_regimes_possible"], 2.7),
        ({"degraded": ["open_interest_missing"]}, ["open_interest_missing"], 3.5),  # 3.516
        ({"degraded": ["stale_window", "unknown_symbol"]}, ["stale_window"], 3.5),
        ({"model_state": "stale"}, ["model_stale"], 3.1),  # 3.125
        ({"model_state": "expired"}, ["model_expired"], 1.0),
        (
            {"model_state": "stale", "prediction_set": [0, 2], "degraded": ["open_interest_missing"]},
            ["two_regimes_possible", "open_interest_missing", "model_stale"],
            2.3,  # 3.906 x 0.612 = 2.39
        ),
    ],
)
def test_haircuts_have_names_and_multiply(changes: dict[str, Any], names: list[str], leverage: float) -> None:
    if "prediction_set" in changes:
        changes["prediction_set"] = [Regime(index) for index in changes["prediction_set"]]
    answer = advice(**changes)
    assert [cut.name for cut in answer.haircuts] == names
    assert [cut.factor for cut in answer.haircuts] == [HAIRCUTS[name] for name in names]
    assert answer.leverage == leverage


@pytest.mark.parametrize(
    "missing",
    [{"funding_mean_3d": NAN}, {"funding_interval_hours": NAN}, {"funding_mean_3d": math.inf}],
)
@pytest.mark.parametrize("degraded", [[], ["funding_missing"]])
def test_missing_funding_is_charged_against_either_side(
    missing: dict[str, float], degraded: Sequence[str]
) -> None:
    answer = advice(market=market(**missing), degraded=degraded)
    named = steps(answer)
    assert named["short_funding_paid_assumed"] == named["long_funding_paid_assumed"] == pytest.approx(0.0021)
    assert "short_funding_paid" not in named
    assert answer.leverage == 3.4  # 1 / (0.256 + 0.0021) x 0.9 = 3.487
    assert [cut.name for cut in answer.haircuts] == ["funding_missing"]
    assert assumptions(answer) == ("funding_missing",)
    assert answer.funding_per_day is None


def test_an_unknown_tier_is_assumed_by_name() -> None:
    answer = advice(market=market(symbol="PEPEUSDT"))
    assert steps(answer)["short_maintenance_rate_assumed"] == 0.03
    assert answer.leverage == 3.4  # 1 / (1.25 x 1.03 - 1 + 0.001) = 3.47
    assert assumptions(answer) == ("unknown_margin_tier",)
    okx = advice(account=Account(equity=1_000, exchange="okx"))
    assert assumptions(okx) == ("unknown_margin_tier",)


def test_the_equity_decides_the_tier() -> None:
    named = steps(advice(account=Account(equity=12_900)))
    # tier 1 ends at 50,000 / (12,900 x 1.25) = 3.1x, tier 2 allows 1 / 0.25725 = 3.887x
    assert named["short_maintenance_rate"] == 0.005
    assert named["short_margin_needed"] == pytest.approx(0.25725)
    assert named["short_tier_edge"] == pytest.approx(600_000 / (12_900 * 1.25))
    assert named["long_tier_edge"] == pytest.approx(600_000 / 12_900)
    assert "short_tier_edge" not in steps(advice())


def test_caps() -> None:
    calm = market(sigma_day=0.005)
    assert advice(market=calm).leverage == 5.0
    lowered = PARAMETERS.model_copy(update={"leverage_cap": 3.25})
    assert advice(market=calm, parameters=lowered).leverage == 3.2
    mine = advice(market=calm, parameters=lowered, account=Account(equity=1_000, leverage_cap=2))
    assert (mine.leverage, mine.leverage_cap) == (2.0, 2.0)
    assert advice(market=calm, model_state="expired").leverage_cap == 1.0
    assert advice(market=calm, simulated_model=True).leverage == 1.0
    simulated = market(sigma_day=0.005, symbol="SIMAUSDT")
    assert advice(market=simulated, simulated_model=True).leverage == 5.0
    assert advice(market=simulated, simulated_model=True, model_state="expired").leverage == 1.0


def test_below_a_fifth_it_is_stand_aside() -> None:
    answer = advice(market=market(sigma_day=0.30))  # 0.157x
    assert 0.1 < steps(answer)["short_formula"] < 0.2
    assert (answer.side, answer.leverage, answer.tranches) == ("short", 0.0, [])
    assert answer.survival.liquidation_price is None
    low = advice(market=market(sigma_day=0.20))  # 0.36x: notional over equity
    assert low.leverage == 0.3
    assert low.survival.liquidation_price == pytest.approx(40_000 * (1 + 1 / 0.3) / 1.004)


def test_a_long_below_one_has_no_liquidation_price() -> None:
    answer = advice(regime=Regime.BULL, market=market(sigma_day=0.20), model_state="expired")
    assert answer.side == "long"
    assert 0 < answer.leverage <= 1
    assert answer.survival.liquidation_price is None


@pytest.mark.parametrize("bad", [NAN, 0.0, -1.0, math.inf])
@pytest.mark.parametrize("name", ["close", "sigma_day"])
def test_without_price_or_volatility_stand_aside(name: str, bad: float) -> None:
    answer = advice(market=market(**{name: bad}))
    assert answer.leverage == answer.leverage_short == answer.leverage_long == 0
    assert [(cut.name, cut.factor) for cut in answer.haircuts] == [("no_volatility", 0.0)]
    assert answer.survival.adverse_excursion == 1.0
    assert answer.tranches == []


def test_a_cell_without_data_stops_that_side_only() -> None:
    table = [row[:] for row in SHORT_SCALES]
    table[Regime.BEAR][1] = NAN
    parameters = PARAMETERS.model_copy(update={"excursion_short": table})
    answer = advice(parameters=parameters)
    assert answer.leverage == answer.leverage_short == 0
    assert answer.leverage_long == 4.3
    assert [cut.name for cut in answer.haircuts] == ["no_excursion_short"]
    assert steps(answer)["short_haircuts"] == 0
    assert steps(answer)["long_haircuts"] == 1
    assert advice(parameters=parameters, market=market(volatility_ratio=NAN)).leverage == 0
    assert advice(parameters=parameters, market=market(volatility_ratio=1.0)).leverage > 0


def test_parameters_come_back_from_json_and_refuse_nonsense() -> None:
    table = [row[:] for row in SHORT_SCALES]
    table[0][1] = NAN
    given_ = PARAMETERS.model_copy(update={"excursion_short": table})
    text = given_.model_dump_json()
    assert "NaN" not in text
    back = AdviceParameters.model_validate_json(text)
    assert math.isnan(back.excursion_short[0][1])
    assert back.model_copy(update={"excursion_short": SHORT_SCALES}) == PARAMETERS
    good = PARAMETERS.model_dump()
    for wrong in (
        {"volatility_edges": [0.2, -0.25]},
        {"volatility_edges": [0.0]},
        {"excursion_long": LONG_SCALES[:3]},
        {"leverage_cap": 6},
        {"horizon": 7},
        {"stale_after_days": 300},
    ):
        with pytest.raises(ValidationError):
            AdviceParameters.model_validate(good | wrong)


def test_model_state_by_age() -> None:
    ages = (0, 65, 65.01, 190, 190.01)
    assert [PARAMETERS.model_state(age) for age in ages] == ["fresh", "fresh", "stale", "stale", "expired"]


def test_position_report_by_hand() -> None:
    position = OpenPosition(side="short", notional=20_000, entry=40_000, leverage=5)
    account = Account(equity=10_000, position=position)
    report = advice(market=market(close=42_000.0), account=account).position
    assert report is not None
    assert report.margin_left == pytest.approx(3_000)  # 4,000 less 0.5 BTC x 2,000
    assert report.liquidation_price == pytest.approx(40_000 * 1.2 / 1.004)
    assert report.distance == pytest.approx(47_808.7649 / 42_000 - 1, abs=1e-8)  # 13.8 %
    assert report.danger  # q is 25 %
    assert report.reduce_to == pytest.approx(3.9 * 3_000)
    assert report.chance_1d is report.chance_3d is report.chance_7d is None
    assert report.maintenance_margin == pytest.approx(0.004 * 21_000)
    assert report.effective_leverage == pytest.approx(7)
    assert report.bankruptcy_price == pytest.approx(48_000)
    paid = position.model_copy(update={"paid": 500.0})
    poorer = advice(market=market(close=42_000.0), account=Account(equity=10_000, position=paid)).position
    assert poorer is not None
    assert poorer.margin_left == pytest.approx(2_500)
    assert poorer.liquidation_price == pytest.approx((4_000 - 500 + 20_000) / (0.5 * 1.004))
    assert poorer.bankruptcy_price == pytest.approx(47_000)
    calm = position.model_copy(update={"leverage": 2})
    safe = advice(account=account.model_copy(update={"position": calm})).position
    assert safe is not None
    assert (safe.danger, safe.reduce_to) == (False, None)


def test_a_position_past_its_liquidation_and_one_that_has_none() -> None:
    gone = OpenPosition(side="long", notional=20_000, entry=50_000, leverage=5)
    report = advice(account=Account(equity=10_000, position=gone)).position  # 40,000 < 40,160
    assert report is not None
    assert report.distance < 0
    assert (report.danger, report.reduce_to) == (True, 0.0)
    assert report.effective_leverage is None
    unlevered = OpenPosition(side="long", notional=100, entry=50_000, leverage=0.9)
    report = advice(account=Account(equity=10_000, position=unlevered)).position
    assert report is not None
    assert (report.liquidation_price, report.distance, report.danger) == (0.0, 1.0, False)
    assert report.chance_7d == 0.0


@pytest.mark.parametrize("equity", [None, 1_000.0, 30_000.0, 1e6])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "SOLUSDT", "PEPEUSDT"])
@pytest.mark.parametrize("funding", [0.0003, -0.002, NAN])
def test_a_trader_can_redo_it_from_the_steps_alone(equity: float | None, symbol: str, funding: float) -> None:
    answer = advice(
        market=market(symbol=symbol, funding_mean_3d=funding, sigma_day=0.031),
        prediction_set=[Regime.BEAR, Regime.RANGING],
        account=Account(equity=equity) if equity else None,
    )
    named = steps(answer)
    assert named["volatility"] == pytest.approx(named["volatility_day"] * math.sqrt(named["horizon_days"]))
    for side in ("short", "long"):
        mine = {
            name.removeprefix(f"{side}_").removesuffix("_assumed"): value
            for name, value in named.items()
            if name.startswith(side)
        }
        log_move = mine["excursion_scale"] * named["volatility"]
        q = math.exp(log_move) - 1 if side == "short" else 1 - math.exp(-log_move)
        assert mine["adverse_excursion"] == pytest.approx(q)
        m = mine["maintenance_rate"]
        e = mine["worst_entry"]
        needed = (1 + q) * (1 + m) / e - 1 if side == "short" else 1 - (1 - q) * (1 - m) / e
        needed += named["fees"] + max(0.0, mine["funding_paid"])
        limits = [1 / needed * mine["haircuts"], named["cap"], mine["tier_maximum"]]
        limits += [mine["tier_edge"]] if "tier_edge" in mine else []
        leverage = math.floor(min(limits) * 10) / 10
        assert mine["leverage"] == (leverage if leverage >= 0.2 else 0)
        assert mine["leverage"] == (answer.leverage_short if side == "short" else answer.leverage_long)
    assert math.prod(cut.factor for cut in answer.haircuts) == pytest.approx(named["short_haircuts"])
    if equity:
        by_leverage = equity * named["short_leverage"]
        assert named["notional_by_leverage"] == pytest.approx(by_leverage)
        notional = min(equity * 0.01 / named["loss_at_stop"], by_leverage)
        assert named["notional"] == answer.notional == pytest.approx(notional)
        assert named["margin"] == answer.margin == pytest.approx(notional / named["short_leverage"])
    assert answer.stop_price == pytest.approx(40_000 * (1 + named["stop_distance"]))


maybe = st.floats(allow_nan=True, allow_infinity=True)
regimes = st.sampled_from(Regime)
sigmas = st.floats(0.001, 0.5)
rates = st.floats(-0.02, 0.02)
symbols = st.sampled_from(["BTCUSDT", "SOLUSDT", "DOGEUSDT", "PEPEUSDT", "SIMAUSDT"])
states = st.sampled_from(["fresh", "stale", "expired"])
sides: st.SearchStrategy[Literal["short", "long"]] = st.sampled_from(["short", "long"])
positive = st.floats(1e-3, 1e12)
accounts = st.none() | st.builds(
    Account,
    equity=st.floats(1, 1e9),
    leverage_cap=st.floats(0.05, 5),
    exchange=st.sampled_from(["binance", "okx"]),
    position=st.none()
    | st.builds(
        OpenPosition,
        side=sides,
        notional=positive,
        entry=positive,
        leverage=st.floats(0.01, 150),
        paid=st.floats(-1e6, 1e6),
    ),
)
anything = st.fixed_dictionaries(
    {
        "regime": regimes,
        "probabilities": st.lists(st.floats(0, 1) | st.just(NAN), min_size=4, max_size=4),
        "prediction_set": st.lists(regimes, max_size=4),
        "confirmed": st.booleans(),
        "degraded": st.lists(st.sampled_from(["funding_missing", "open_interest_missing", "missing_bars"])),
        "model_state": states,
        "simulated_model": st.booleans(),
        "account": accounts,
        "market": st.builds(
            MarketState,
            symbol=symbols,
            close=maybe | positive,
            sigma_day=maybe | sigmas,
            volatility_ratio=maybe,
            funding_mean_3d=maybe | rates,
            funding_interval_hours=maybe | st.sampled_from([1.0, 2.0, 4.0, 8.0]),
            distance_from_mean_20d=maybe,
        ),
        "parameters": st.builds(
            lambda short, long: PARAMETERS.model_copy(
                update={"excursion_short": [short] * 4, "excursion_long": [long] * 4}
            ),
            *[st.lists(st.floats(0, 50) | st.just(NAN), min_size=3, max_size=3)] * 2,
        ),
    }
)


@given(anything)
def test_whatever_is_missing_the_answer_holds(arguments: dict[str, Any]) -> None:
    answer = advise(**arguments)
    assert all(math.isfinite(number) for number in numbers(answer.model_dump()))
    assert Advice.model_validate(json.loads(answer.model_dump_json())) == answer
    state: MarketState = arguments["market"]
    account: Account | None = arguments["account"]
    simulated = arguments["simulated_model"] and not state.symbol.startswith("SIM")
    cap = 1.0 if arguments["model_state"] == "expired" or simulated else 5.0
    cap = min(cap, account.leverage_cap if account else 5.0)
    for leverage in (answer.leverage, answer.leverage_short, answer.leverage_long):
        assert leverage <= min(cap, answer.leverage_cap)
        assert leverage == 0 or leverage >= 0.2
        assert leverage == round(leverage, 1)
    assert 0.30 <= answer.short_share <= 0.70
    assert (
        answer.leverage
        == {"short": answer.leverage_short, "long": answer.leverage_long, "flat": 0.0}[answer.side]
    )
    assert bool(answer.tranches) == (answer.leverage > 0)
    for path, value in (
        ("stop_price", answer.stop_price),
        ("target_price", answer.target_price),
        ("notional", answer.notional),
        ("margin", answer.margin),
        ("funding_per_day", answer.funding_per_day),
        ("survival.worst_liquidation_price", answer.survival.worst_liquidation_price),
    ):
        assert (value is None) == (path in answer.withheld), path
    if account and answer.notional is not None and answer.margin is not None:
        assert answer.margin <= account.equity * (1 + 1e-9)
        loss = answer.notional * steps(answer)["loss_at_stop"]
        assert loss <= account.equity * account.risk_per_trade * answer.size_factor * (1 + 1e-9)
    if not (math.isfinite(state.close) and math.isfinite(state.sigma_day)):
        assert answer.leverage_short == answer.leverage_long == 0


@given(regimes, sigmas, st.floats(1.0, 3.0), rates, symbols, accounts)
def test_more_volatility_never_means_more_leverage(
    regime: Regime, sigma: float, more: float, rate: float, symbol: str, account: Account | None
) -> None:
    calm, wild = (
        advice(
            regime=regime,
            account=account,
            market=market(sigma_day=value, funding_mean_3d=rate, symbol=symbol),
        )
        for value in (sigma, sigma * more)
    )
    assert wild.leverage_short <= calm.leverage_short
    assert wild.leverage_long <= calm.leverage_long


@given(sigmas, st.floats(0, 0.02), rates)
def test_a_credit_never_raises_the_leverage(sigma: float, credit: float, rate: float) -> None:
    free = advice(market=market(sigma_day=sigma, funding_mean_3d=0.0))
    longs_pay = advice(market=market(sigma_day=sigma, funding_mean_3d=credit))
    shorts_pay = advice(market=market(sigma_day=sigma, funding_mean_3d=-credit))
    assert longs_pay.leverage_short == free.leverage_short
    assert shorts_pay.leverage_long == free.leverage_long
    assert longs_pay.leverage_long <= free.leverage_long
    assert shorts_pay.leverage_short <= free.leverage_short


@given(sigmas, rates)
def test_a_higher_maintenance_rate_never_means_more_leverage(sigma: float, rate: float) -> None:
    """0.4, 0.5 and 3 % in this order."""
    found = [
        advice(market=market(symbol=symbol, sigma_day=sigma, funding_mean_3d=rate))
        for symbol in ("BTCUSDT", "SOLUSDT", "PEPEUSDT")
    ]
    shorts = [answer.leverage_short for answer in found]
    longs = [answer.leverage_long for answer in found]
    assert shorts == sorted(shorts, reverse=True)
    assert longs == sorted(longs, reverse=True)


@given(regimes, sigmas, rates, st.sampled_from(["binance", "okx"]), st.floats(10, 1e8), symbols)
def test_liquidation_lies_beyond_the_excursion(
    regime: Regime, sigma: float, rate: float, exchange: Literal["binance", "okx"], equity: float, symbol: str
) -> None:
    """The promise of the formula, checked with the exchange's own: also after the costs are paid."""
    answer = advice(
        regime=regime,
        account=Account(equity=equity, exchange=exchange),
        market=market(sigma_day=sigma, funding_mean_3d=rate, symbol=symbol),
    )
    named = steps(answer)
    legs: tuple[tuple[Position, float], ...] = (
        ("short", answer.leverage_short),
        ("long", answer.leverage_long),
    )
    for side, leverage in legs:
        if leverage == 0:
            continue
        q = named[f"{side}_adverse_excursion"]
        m = named.get(f"{side}_maintenance_rate", 0.03)
        margin = 1 / leverage - named["fees"] - max(0.0, named[f"{side}_funding_paid"])
        price = liquidation_price(side, 1.0, 1 / margin, m, exchange="binance")
        assert price >= 1 + q - 1e-9 if side == "short" else price <= 1 - q + 1e-9
    if answer.leverage == 0 or answer.stop_price is None:
        return
    close, edge = 40_000.0, answer.survival.adverse_excursion
    prices = [t.price for t in answer.tranches if t.price is not None]
    assert len(prices) == 3
    worst = answer.survival.worst_liquidation_price
    if answer.side == "short":
        assert prices == sorted(prices)
        assert prices[-1] < answer.stop_price < close * (1 + edge)
        assert worst is not None
        assert worst >= close * (1 + edge) * (1 - 1e-9)
    else:
        assert prices == sorted(prices, reverse=True)
        assert prices[-1] > answer.stop_price > close * (1 - edge)
        assert worst is None or worst <= close * (1 - edge) * (1 + 1e-9)


READINGS = (
    Reading("moving_average_cross", SignalState.BEARISH, 1.0, 2.0, late=False),
    Reading("funding", SignalState.BEARISH, 1.0, 2.0, late=False),
    Reading("price_and_open_interest", SignalState.BEARISH, 0.1, 0.0, late=True),
    Reading("fear_greed", SignalState.MISSING, NAN, NAN, late=False),
)
PROMISES = re.compile(
    r"\b(will|guarantee\w*|safe|safely|sure|certain\w*|profit\w*|always|never)\b", re.IGNORECASE
)


def said(answer: Advice, **changes: Any) -> list[str]:
    arguments: dict[str, Any] = {
        "regime": Regime.BEAR,
        "probabilities": [0.8, 0.1, 0.06, 0.04],
        "confirmed": True,
        "market": market(),
        "readings": READINGS,
        "degraded": [],
    }
    return reasons(advice=answer, **(arguments | changes))


def test_reasons_of_a_confirmed_bear() -> None:
    assert said(advice(confirmed=True)) == [
        "The market reads as bear with probability 80% (ranging 10%, relief rally 6%, bull 4%).",
        "3 of 3 available signals are bearish: moving average cross, funding, price and open interest "
        "(often late); 3 or more confirm a bear.",
        "68% of the gross exposure short, 36% net short.",
        "3.9x short: in past hours like this one 99.5% of 7-day rises stayed within 25.0%; entered at the "
        "last close it is liquidated at 50,056.2.",
        "Enter in tranches: 30% at 40,000, 30% at 40,000, 40% at 43,734.5; stop 45,730.5, target 33,460.5.",
        "At the 3-day mean rate a short receives 0.030% of notional a day in funding.",
        "If the rate went to its cap against it, it would pay 0.90% a day.",
    ]


def test_reasons_of_an_answer_that_the_latest_reading_has_left() -> None:
    text = " ".join(said(advice(), probabilities=[0.3, 0.05, 0.6, 0.05]))
    assert "The answer is still bear (30%), though the latest reading leans to relief rally" in text
    assert "reads as bear" not in text


def test_reasons_of_a_range_say_flat_once() -> None:
    answer = advice(regime=Regime.RANGING)
    text = said(answer, regime=Regime.RANGING, probabilities=[0.1, 0.7, 0.1, 0.1])
    assert answer.side == "flat"
    assert sum("flat" in line for line in text) == 1


def test_reasons_say_the_size_and_what_a_rally_is_turning_into() -> None:
    answer = advice(
        regime=Regime.RELIEF_RALLY, probabilities=[0.5, 0.1, 0.3, 0.1], account=Account(equity=10_000)
    )
    text = " ".join(said(answer, regime=Regime.RELIEF_RALLY, probabilities=[0.5, 0.1, 0.3, 0.1]))
    assert "the relief rally reads as ending" in text
    assert "the odds are bear 83%, bull 17%" in text
    assert f"Size {answer.notional:,.2f} with everything filled" in text
    assert "it loses about 100.00 before slippage" in text


def test_reasons_name_what_is_wrong() -> None:
    degraded = ["funding_missing", "model_expired", "model_trained_on_simulated_data", "unknown_margin_tier"]
    answer = advice(
        market=market(symbol="PEPEUSDT", funding_mean_3d=NAN), degraded=degraded, model_state="expired"
    )
    text = " ".join(said(answer, degraded=degraded, confirmed=False, readings=READINGS[:2]))
    for words in (
        "funding is missing (x 0.9)",
        "the model has expired (x 0.8)",
        "with fewer than 3 available",
        "leverage at most 1x until it is retrained",
        "trained on simulated data",
        "3 % maintenance and 20x are assumed",
        "Funding is not known",
    ):
        assert words in text


@given(anything)
def test_reasons_promise_nothing_and_hold_no_nan(arguments: dict[str, Any]) -> None:
    arguments["probabilities"] = [0.4, 0.3, 0.2, 0.1]
    names = ("regime", "probabilities", "confirmed", "market", "degraded")
    text = said(advise(**arguments), **{name: arguments[name] for name in names})
    assert all(sentence.endswith(".") for sentence in text)
    assert not PROMISES.search(" ".join(text))
    assert not re.search(r"\b(nan|None)\b", " ".join(text))


def test_it_is_quick_enough_for_every_bar_of_a_replay() -> None:
    seconds = min(timeit.repeat(advice, number=200, repeat=7, timer=time.process_time)) / 200
    assert seconds < 250e-6
