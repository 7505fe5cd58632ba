"""What is the same for every symbol is computed once for a board, and only where it is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import FloatArray, history
from rich_histories import changed

from features.bars import Bars
from features.catalog import CATALOG
from features.context import with_context
from features.history import History
from features.pipeline import feature_matrix
from features.universe_bars import universe_bars

CROSS = tuple(feature for feature in CATALOG if feature.group == "cross_market")
NAMES = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
N = 130 * 6


def alone() -> list[History]:
    return [
        replace(history(N, "4h", seed=30 + seed, missing=(200 + seed,)), symbol=name)
        for seed, name in enumerate(NAMES)
    ]


def board() -> list[History]:
    """Symbols with one table of closes, and one that is not of the universe."""
    outside = replace(history(N, "4h", seed=50), symbol="NEWUSDT")
    return with_context([*alone(), outside], NAMES)


def own_context(made: History) -> History:
    """The same closes in memory of their own, which others may change: nothing is shared."""
    return replace(made, context={name: closes.copy() for name, closes in made.context.items()})


def bits(made: History, last: int | None = 9) -> FloatArray:
    return feature_matrix(made, CROSS, last=last).view(np.uint32).astype(np.float64)


def test_a_shared_universe_gives_the_bits_of_ones_own() -> None:
    for made in board():
        np.testing.assert_array_equal(bits(made), bits(own_context(made)))
        np.testing.assert_array_equal(bits(made), bits(made, None)[-9:])


def test_symbols_of_one_board_share_it() -> None:
    first, *others = [universe_bars(Bars(made, last=9)) for made in board()]
    assert first.symbol == ""
    assert all(other is first for other in others)


def test_other_rows_other_bars_or_another_table_do_not() -> None:
    made = board()[1]
    shared = universe_bars(Bars(made, last=9))
    for other in (
        Bars(made, last=8),
        Bars(made.part(0, N - 1), last=9),
        Bars(made.part(1, N), last=9),
        Bars(board()[1], last=9),
    ):
        assert universe_bars(other) is not shared


def test_a_whole_table_and_closes_that_may_change_are_not_held_on_to() -> None:
    made = board()[1]
    for bars in (Bars(made), Bars(own_context(made), last=9), Bars(replace(made, context={}), last=9)):
        assert universe_bars(bars) is bars


def test_a_symbol_whose_own_closes_are_others_than_the_table_s_reads_its_own() -> None:
    _, made, other, *_ = board()
    moved = changed(made, slice(N - 40, N), {"close": made.column("close")[N - 40 :] * 1.5})
    bars = Bars(moved, last=9)
    assert universe_bars(bars) is bars
    np.testing.assert_array_equal(bits(moved), bits(own_context(moved)))
    assert (bits(moved) != bits(made)).any()
    np.testing.assert_array_equal(bits(other), bits(own_context(other)))  # and leaves the board as it is


def test_the_memory_of_a_table_that_is_gone_is_not_mistaken_for_it() -> None:
    for seed in range(5):  # each in memory that the one before may have left
        made = with_context([replace(history(N, "4h", seed=seed), symbol=name) for name in NAMES])
        for one in made:
            np.testing.assert_array_equal(bits(one), bits(own_context(one)))


@pytest.mark.parametrize("name", ["BTCUSDT", "SOLUSDT"])
def test_a_window_of_a_long_table_is_the_same(name: str) -> None:
    (made,) = [one for one in board() if one.symbol == name]
    window = made.window(N - 3, 121 * 6)
    assert universe_bars(Bars(window, last=9)).symbol == ""
    np.testing.assert_array_equal(bits(window), bits(own_context(window)))
