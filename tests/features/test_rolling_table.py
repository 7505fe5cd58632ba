"""Rolling over many symbols at once gives the bits of rolling over each."""

from __future__ import annotations

import numpy as np
from histories import LONG, FloatArray
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rolling.table import table_max, table_mean
from features.rolling.windows import rolling_max, rolling_mean


@st.composite
def tables(draw: st.DrawFn) -> tuple[FloatArray, int, int]:
    """A table with holes, a window and where the grid begins."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    size = draw(st.integers(1, 90))
    table = rng.normal(size=(draw(st.integers(1, 4)), size)) * 10.0 ** rng.integers(-6, 6)
    table[rng.random(table.shape) < draw(st.sampled_from([0.0, 0.02, 0.3]))] = np.nan
    return table, draw(st.integers(1, 40)), draw(st.integers(0, 200))


@settings(max_examples=2000 if LONG else 200, deadline=None)
@given(tables())
def test_each_row_has_the_bits_of_its_own(made: tuple[FloatArray, int, int]) -> None:
    table, n, first = made
    for many, one in ((table_mean, rolling_mean), (table_max, rolling_max)):
        found = many(table, n, first)
        expected = np.stack([one(row, n, first)[n - 1 :] for row in table])
        np.testing.assert_array_equal(found, expected)  # NaN in the same places
        there = ~np.isnan(expected)
        assert (found.view(np.uint64)[there] == expected.view(np.uint64)[there]).all()


@settings(max_examples=500 if LONG else 60, deadline=None)
@given(tables(), st.integers(0, 60))
def test_a_cut_has_the_bits_of_the_whole(made: tuple[FloatArray, int, int], start: int) -> None:
    table, n, first = made
    start = min(start, table.shape[1] - 1)
    for many in (table_mean, table_max):
        whole, cut = many(table, n, first), many(table[:, start:], n, first + start)
        np.testing.assert_array_equal(cut, whole[:, start:])
