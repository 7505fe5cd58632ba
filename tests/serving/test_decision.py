"""From probabilities to a regime: every window by itself in a slow loop, against all at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_training import LONG

from serving.decision import COSTS, Costs, DecisionParameters, decide, expected_costs

EXAMPLES = 400 if LONG else 60
Floats = npt.NDArray[np.float64]
PLAIN: Costs = (
    (0.0, 1.0, 1.0, 1.0),
    (1.0, 0.0, 1.0, 1.0),
    (1.0, 1.0, 0.0, 1.0),
    (1.0, 1.0, 1.0, 0.0),
)


def drawn(seed: int, n: int) -> Floats:
    """Probabilities that linger and jump."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((0.4,) * 4, size=n)
    for t in range(1, n):
        p[t] = 0.6 * p[t - 1] + 0.4 * p[t]
    return p


def made(k: int, **changes: Any) -> DecisionParameters:
    content = {"half_life_bars": 0.0, "margin": 0.3, "rally_margin": 0.1} | changes
    return DecisionParameters(smoothing_bars=k, **content)


def one_window(p: Floats, there: list[bool], parameters: DecisionParameters) -> tuple[int, int, bool]:
    """Regime, age and censoring of the last bar of a window of K + 1 bars, by the description alone."""
    k = parameters.smoothing_bars
    back = min(int(np.ceil(10 * parameters.half_life_bars)), k)
    costs: list[list[float]] = []
    known = []
    for t in range(back, k + 1):
        weights = [
            0.5 ** (age / parameters.half_life_bars) if age else 1.0
            for age in range(back + 1)
            if there[t - age]
        ]
        rows = [p[t - age] for age in range(back + 1) if there[t - age]]
        known.append(there[t])
        average = sum(w * row for w, row in zip(weights, rows, strict=True)) / sum(weights) if rows else p[t]
        costs.append([float(np.dot(parameters.costs[a], average)) for a in range(4)])
    total = [sum(cost[a] for cost, here in zip(costs, known, strict=True) if here) for a in range(4)]
    regime = total.index(min(total))
    first = known.index(True)
    entered = first
    for step, (cost, here) in enumerate(zip(costs, known, strict=True)):
        if not here:
            continue
        leads = [
            cost[regime] - cost[b] - (parameters.rally_margin if (regime, b) == (0, 2) else parameters.margin)
            for b in range(4)
        ]
        leads[regime] = 0.0
        best = leads.index(max(leads))
        if leads[best] > 0:
            regime, entered = best, step
    return regime, len(costs) - 1 - entered, entered == first


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 9999),
    k=st.integers(0, 14),
    half_life=st.sampled_from([0.0, 0.3, 0.7, 3.0]),
    margin=st.sampled_from([0.0, 0.1, 0.4]),
    missing=st.floats(0, 0.6),
)
def test_all_rows_at_once_are_each_window_by_itself(
    seed: int, k: int, half_life: float, margin: float, missing: float
) -> None:
    p = drawn(seed, 50)
    present = np.random.default_rng(seed + 1).random(50) >= missing
    parameters = made(k, half_life_bars=half_life, margin=margin, rally_margin=margin / 2)
    found = decide(p, present, parameters)
    assert len(found.regime) == len(found.average) == 50 - k
    first_step = parameters.averaged_bars - 1
    for row in range(50 - k):
        window = slice(row, row + k + 1)
        if not present[window][first_step:].any():
            continue
        regime, age, censored = one_window(p[window], present[window].tolist(), parameters)
        assert (found.regime[row], found.age[row], found.censored[row]) == (regime, age, censored)


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 9999), k=st.integers(0, 30), half_life=st.sampled_from([0.0, 0.4, 2.0]))
def test_a_window_alone_has_the_bits_of_a_long_replay(seed: int, k: int, half_life: float) -> None:
    """What lies before the window changes nothing, and neither does what comes after the bar."""
    p, everywhere = drawn(seed, 80), np.ones(80, dtype=bool)
    parameters = made(k, half_life_bars=half_life)
    whole = decide(p, everywhere, parameters)
    other = drawn(seed + 1, 80)
    for row in (0, 7, 49 - k):
        window = slice(row, row + k + 1)
        alone = decide(p[window], everywhere[: k + 1], parameters)
        other[window] = p[window]
        replaced = decide(other, everywhere, parameters)
        for part, at in ((alone, 0), (replaced, row)):
            assert (part.regime[at], part.age[at], part.censored[at]) == (
                whole.regime[row],
                whole.age[row],
                whole.censored[row],
            )
            assert part.average[at].tobytes() == whole.average[row].tobytes()


@given(seed=st.integers(0, 9999))
def test_what_stands_in_a_missing_bar_changes_nothing(seed: int) -> None:
    p = drawn(seed, 60)
    present = np.random.default_rng(seed).random(60) < 0.7
    present[-1] = True
    parameters = made(29, half_life_bars=1.5)
    nonsense = np.where(present[:, None], p, np.nan)
    kept, clean = decide(nonsense, present, parameters), decide(p, present, parameters)
    assert np.array_equal(kept.regime, clean.regime)
    assert np.array_equal(kept.age, clean.age)
    assert np.isfinite(kept.average[present[29:]]).all()


def test_calling_a_rally_a_bear_is_the_dearest_mistake() -> None:
    costs = np.array(COSTS)
    assert costs.max() == costs[0, 2]
    assert (np.diag(costs) == 0).all()
    near = np.array([[0.5, 0.1, 0.35, 0.05]])  # a bear is likelier, and still the dearer answer
    assert near.argmax() == 0
    assert expected_costs(near, COSTS).argmin() == 2
    assert expected_costs(near, PLAIN).argmin() == 0


@given(seed=st.integers(0, 9999))
def test_with_plain_costs_and_no_margin_it_is_the_likeliest(seed: int) -> None:
    p = drawn(seed, 40)
    plain = made(3, margin=0.0, rally_margin=0.0, costs=PLAIN)
    found = decide(p, np.ones(40, dtype=bool), plain)
    assert found.regime.tolist() == p[3:].argmax(axis=1).tolist()


def test_the_start_is_that_of_the_whole_window_not_of_one_bar() -> None:
    """A first bar that reads otherwise than all the others does not decide an undecided window."""
    p = np.tile([0.45, 0.55, 0.0, 0.0], (21, 1))
    p[0] = [0.60, 0.40, 0.0, 0.0]
    found = decide(p, np.ones(21, dtype=bool), made(20, costs=PLAIN))
    assert found.regime.tolist() == [1]
    assert found.censored.tolist() == [True]


def test_a_rally_is_heard_of_earlier_than_the_way_back() -> None:
    p = np.tile([0.9, 0.0, 0.1, 0.0], (30, 1))
    p[12:, 0], p[12:, 2] = 0.4, 0.6
    plain = {"costs": PLAIN, "margin": 0.3}
    everywhere = np.ones(30, dtype=bool)
    assert decide(p, everywhere, made(10, rally_margin=0.1, **plain)).regime[2] == 2
    assert decide(p, everywhere, made(10, rally_margin=0.3, **plain)).regime[2] == 0
    mirrored = p[:, [2, 1, 0, 3]]
    assert decide(mirrored, everywhere, made(10, rally_margin=0.1, **plain)).regime[2] == 2


def test_margins_and_averages_reduce_switches() -> None:
    p, everywhere = drawn(5, 600), np.ones(600, dtype=bool)

    def switches(half_life: float, margin: float) -> int:
        parameters = made(100, half_life_bars=half_life, margin=margin, rally_margin=margin)
        return sum(a != b for a, b in pairwise(decide(p, everywhere, parameters).regime.tolist()))

    by_margin = [switches(0.0, margin) for margin in (0.0, 0.2, 0.4, 0.8)]
    assert by_margin == sorted(by_margin, reverse=True)
    assert by_margin[-1] < by_margin[0] / 2
    by_half_life = [switches(half_life, 0.1) for half_life in (0.0, 2.0, 10.0)]
    assert by_half_life == sorted(by_half_life, reverse=True)
    assert by_half_life[-1] < by_half_life[0] / 2


def test_too_few_rows_give_none() -> None:
    found = decide(drawn(1, 5), np.ones(5, dtype=bool), made(5))
    assert (len(found.regime), len(found.age), len(found.censored), len(found.average)) == (0, 0, 0, 0)


def test_bars_that_are_all_missing_are_no_error() -> None:
    found = decide(np.full((12, 4), np.nan), np.zeros(12, dtype=bool), made(4, half_life_bars=1.0))
    assert len(found.regime) == 8
    assert np.isnan(found.average).all()
    assert found.censored.all()


def test_one_bar_is_decided_by_its_costs_alone() -> None:
    p = drawn(3, 9)
    found = decide(p, np.ones(9, dtype=bool), made(0, half_life_bars=5.0))
    assert found.regime.tolist() == expected_costs(p, COSTS).argmin(axis=1).tolist()


def changed(answer: int, truth: int, cost: float) -> list[list[float]]:
    costs = [list(row) for row in COSTS]
    costs[answer][truth] = cost
    return costs


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"smoothing_bars": -1}, "greater than or equal to 0"),
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"margin": float("nan")}, "finite number"),
        ({"rally_margin": float("inf")}, "finite number"),
        ({"half_life_bars": -1.0}, "greater than or equal to 0"),
        ({"costs": COSTS[:3]}, "at least 4 items"),
        ({"costs": changed(0, 2, 0.0)}, "calling relief_rally bear costs 0.0, expected more than 0"),
        ({"costs": changed(3, 3, 0.5)}, "calling bull bull costs 0.5, expected 0"),
        ({"costs": changed(1, 2, float("nan"))}, "finite number"),
        ({"switches_allowed": 0.0}, "greater than 0"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    right = {"smoothing_bars": 1, "half_life_bars": 1.0, "margin": 0.1, "rally_margin": 0.1}
    with pytest.raises(ValidationError, match=message):
        DecisionParameters.model_validate(right | wrong)


def test_parameters_come_back_from_json_as_they_were() -> None:
    parameters = made(7, half_life_bars=2.4, costs=changed(0, 2, 3.25))
    assert DecisionParameters.model_validate_json(parameters.model_dump_json()) == parameters
