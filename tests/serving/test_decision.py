"""From probabilities to a regime: every window by itself in a slow loop, against all at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from serving.decision import DecisionParameters, decide, prediction_set

EXAMPLES = 500 if LONG else 80
Floats = npt.NDArray[np.float64]


def drawn(seed: int, n: int) -> Floats:
    """Probabilities that linger and jump."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((0.4,) * 4, size=n)
    for t in range(1, n):
        p[t] = 0.6 * p[t - 1] + 0.4 * p[t]
    return p


def one_window(p: Floats, present: list[bool], parameters: DecisionParameters) -> tuple[int, int, bool]:
    """Regime, age and censoring of the last bar of a window of K + 1 bars."""
    keep = 0.0 if parameters.half_life_bars == 0 else 0.5 ** (1 / parameters.half_life_bars)
    average, regime, entered, switched = None, 0, 0, False
    for step, (row, there) in enumerate(zip(p.tolist(), present, strict=True)):
        if not there:
            continue
        if average is None:
            average = row
            regime, entered = row.index(max(row)), step
            continue
        average = [keep * a + (1 - keep) * b for a, b in zip(average, row, strict=True)]
        best = average.index(max(average))
        if best != regime and average[best] > average[regime] + parameters.margin:
            regime, entered, switched = best, step, True
    return regime, len(p) - 1 - entered, not switched


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 9999),
    k=st.integers(0, 12),
    half_life=st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    margin=st.sampled_from([0.0, 0.1, 0.4]),
    missing=st.floats(0, 0.6),
)
def test_all_rows_at_once_are_each_window_by_itself(
    seed: int, k: int, half_life: float, margin: float, missing: float
) -> None:
    p = drawn(seed, 60)
    present = np.random.default_rng(seed + 1).random(60) >= missing
    parameters = DecisionParameters(smoothing_bars=k, half_life_bars=half_life, margin=margin)
    found = decide(p, present, parameters)
    assert len(found.regime) == 60 - k
    for row in range(60 - k):
        window = slice(row, row + k + 1)
        regime, age, censored = one_window(p[window], present[window].tolist(), parameters)
        if not present[window].any():
            continue
        assert (found.regime[row], found.age[row], found.censored[row]) == (regime, age, censored)


@given(seed=st.integers(0, 9999), k=st.integers(0, 8))
def test_it_starts_afresh_k_bars_ago(seed: int, k: int) -> None:
    """What lies before the window changes nothing, and neither does what comes after the bar."""
    p, everywhere = drawn(seed, 40), np.ones(40, dtype=bool)
    parameters = DecisionParameters(smoothing_bars=k, half_life_bars=4.0, margin=0.1)
    whole = decide(p, everywhere, parameters)
    alone = decide(p[20 - k : 21], everywhere[: k + 1], parameters)
    other = drawn(seed + 1, 40)
    other[20 - k : 21] = p[20 - k : 21]
    replaced = decide(other, everywhere, parameters)
    row = 20 - k
    for part in (alone.regime[0], replaced.regime[row]):
        assert part == whole.regime[row]
    assert alone.age[0] == whole.age[row] == replaced.age[row]


@given(seed=st.integers(0, 9999))
def test_a_missing_bar_changes_nothing(seed: int) -> None:
    p = drawn(seed, 30)
    present = np.random.default_rng(seed).random(30) < 0.7
    present[-1] = True
    parameters = DecisionParameters(smoothing_bars=29, half_life_bars=5.0, margin=0.05)
    nonsense = np.where(present[:, None], p, np.nan)
    kept = decide(nonsense, present, parameters).regime[0]
    fewer = parameters.model_copy(update={"smoothing_bars": int(present.sum()) - 1})
    assert kept == decide(p[present], np.ones(int(present.sum()), dtype=bool), fewer).regime[0]


def test_margin_and_smoothing_reduce_switches() -> None:
    """Along one window that grows bar by bar, so that its start stays the same."""
    p, everywhere = drawn(5, 150), np.ones(150, dtype=bool)

    def switches(half_life: float, margin: float) -> int:
        path = []
        for t in range(150):
            parameters = DecisionParameters(smoothing_bars=t, half_life_bars=half_life, margin=margin)
            path.append(int(decide(p[: t + 1], everywhere[: t + 1], parameters).regime[0]))
        return sum(a != b for a, b in pairwise(path))

    by_margin = [switches(2.0, margin) for margin in (0.0, 0.1, 0.2, 0.4)]
    assert by_margin == sorted(by_margin, reverse=True)
    assert by_margin[-1] < by_margin[0] / 2
    by_half_life = [switches(half_life, 0.0) for half_life in (0.0, 2.0, 10.0)]
    assert by_half_life == sorted(by_half_life, reverse=True)
    assert by_half_life[-1] < by_half_life[0] / 2


def test_without_smoothing_and_margin_it_is_the_likeliest() -> None:
    p = drawn(2, 50)
    plain = DecisionParameters(smoothing_bars=3, half_life_bars=0.0, margin=0.0)
    assert decide(p, np.ones(50, dtype=bool), plain).regime.tolist() == p[3:].argmax(axis=1).tolist()


def test_too_few_rows_give_none() -> None:
    parameters = DecisionParameters(smoothing_bars=5, half_life_bars=0.0, margin=0.0)
    found = decide(drawn(1, 5), np.ones(5, dtype=bool), parameters)
    assert (len(found.regime), len(found.age), len(found.censored)) == (0, 0, 0)


@given(seed=st.integers(0, 9999), level=st.floats(0.01, 1.0))
def test_prediction_set_is_the_smallest_that_holds_the_level(seed: int, level: float) -> None:
    p = drawn(seed, 1)[0]
    found = prediction_set(p, level)
    assert p[found].sum() >= level - 1e-9
    assert p[found[:-1]].sum() < level
    assert found == sorted(found, key=lambda k: -p[k])


@pytest.mark.parametrize("wrong", [{"smoothing_bars": -1}, {"margin": 1.0}, {"half_life_bars": -1.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    right = {"smoothing_bars": 1, "half_life_bars": 1.0, "margin": 0.1}
    with pytest.raises(ValueError, match="validation error"):
        DecisionParameters.model_validate(right | wrong)
