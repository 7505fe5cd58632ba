"""Maps of bars over sliding windows, against one bar after another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import LONG

from serving.window_paths import over_windows, steps

EXAMPLES = 300 if LONG else 60


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(1, 60), share=st.floats(0.01, 1))
def test_paths_are_their_bars_one_after_another(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    bars = max(1, round(share * n))
    cost, known = rng.random((n, 4)), rng.random(n) < 0.8
    margins = np.full((4, 4), 0.3)
    one = steps(cost, known, margins, ages=True)
    path = one.over(bars)
    assert (len(path), path.bars) == (n - bars + 1, bars)
    for before in range(4):
        at = np.full(len(path), before)
        after, ago = path.after(at), path.bars_ago(at)
        for row in range(len(path)):
            state, last = before, -1
            for step in range(row, row + bars):
                new = int(one.after(np.full(n, state))[step])
                if new != state:
                    state, last = new, row + bars - 1 - step
            assert (after[row], ago[row]) == (state, last)


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(1, 80), share=st.floats(0.01, 1))
def test_sums_have_the_same_bits_wherever_the_window_lies(seed: int, n: int, share: float) -> None:
    values = np.random.default_rng(seed).normal(size=(n, 4)) * 1e3
    bars = max(1, round(share * n))
    sums = over_windows(values, bars, np.add)
    for row in range(n - bars + 1):
        alone = over_windows(values[row : row + bars], bars, np.add)
        assert alone.tobytes() == sums[row : row + 1].tobytes()
        assert sums[row] == pytest.approx(values[row : row + bars].sum(axis=0), abs=1e-8)


def test_a_path_without_ages_says_so() -> None:
    path = steps(np.zeros((3, 4)), np.ones(3, dtype=bool), np.zeros((4, 4)), ages=False).over(2)
    with pytest.raises(ValueError, match="without ages"):
        path.bars_ago(np.zeros(2, dtype=np.int64))
