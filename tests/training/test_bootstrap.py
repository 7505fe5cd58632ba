"""Intervals against plain loops, and whether they hold what they promise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from small_training import LONG

from features.errors import DataError
from training.bootstrap import BlockBootstrap

FloatArray = npt.NDArray[np.float64]


def uneven(seed: int = 3, blocks: int = 12) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Blocks of 1 to 9 rows in shuffled order, each with a level of its own."""
    rng = np.random.default_rng(seed)
    block = np.repeat(rng.permutation(blocks) * 7, rng.integers(1, 10, blocks))
    values = rng.normal(size=7 * blocks)[block] + 0.1 * rng.normal(size=len(block))
    order = rng.permutation(len(block))
    return block[order], values[order]


def drawn_rows(block: npt.NDArray[np.int64], draws: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """Rows of each draw, block after block, from the same random numbers."""
    kinds = np.unique(block)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(kinds), np.full(len(kinds), 1 / len(kinds)), size=draws)
    return [
        np.concatenate(
            [np.flatnonzero(block == kind) for kind, n in zip(kinds, row, strict=True) for _ in range(n)]
        )
        for row in counts
    ]


def test_the_mean_of_each_draw_is_that_of_the_rows_drawn() -> None:
    block, values = uneven()
    found = BlockBootstrap(block, draws=200, seed=5).mean(values)
    means = [values[rows].mean() for rows in drawn_rows(block, 200, 5)]
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))
    assert (found.blocks, found.rows) == (12, len(block))


def test_a_score_of_sums_is_that_of_the_rows_drawn() -> None:
    rng = np.random.default_rng(8)
    block, _ = uneven(blocks=15)
    y, answer = rng.integers(0, 3, (2, len(block)))
    answer = np.where(rng.random(len(block)) < 0.5, y, answer)
    cells = np.eye(9)[3 * y + answer]

    def macro_f1(sums: FloatArray) -> FloatArray:
        table = sums.reshape(-1, 3, 3)
        hits = np.diagonal(table, axis1=1, axis2=2)
        total = table.sum(axis=1) + table.sum(axis=2)
        return np.asarray(np.where(total > 0, 2 * hits / np.maximum(total, 1), 0.0).mean(axis=1))

    found = BlockBootstrap(block, draws=60, seed=2, level=0.8).interval(cells, macro_f1)

    def oracle(rows: npt.NDArray[np.intp]) -> float:
        return float(f1_score(y[rows], answer[rows], labels=[0, 1, 2], average="macro", zero_division=0.0))

    scores = [oracle(rows) for rows in drawn_rows(block, 60, 2)]
    assert found.estimate == pytest.approx(oracle(np.arange(len(y))))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(scores, (0.1, 0.9))))


def test_a_block_told_many_times_is_one_piece_of_evidence() -> None:
    values = np.random.default_rng(1).normal(size=40)
    once = BlockBootstrap(np.arange(40)).mean(values)
    often = BlockBootstrap(np.repeat(np.arange(40), 25)).mean(np.repeat(values, 25))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    bar_by_bar = BlockBootstrap(np.arange(1000)).mean(np.repeat(values, 25))
    assert once.high - once.low > 4 * (bar_by_bar.high - bar_by_bar.low)


def test_what_two_models_share_cancels() -> None:
    rng = np.random.default_rng(4)
    block = np.repeat(np.arange(60), 10)
    hard = rng.normal(size=60)[block]
    bootstrap = BlockBootstrap(block)
    gap = bootstrap.mean_difference(hard + 1.0, hard + 1.05)
    assert gap.below_zero
    assert not gap.above_zero
    assert (gap.low, gap.high) == pytest.approx((-0.05, -0.05))
    alone = bootstrap.mean(hard)
    assert not alone.below_zero
    assert not alone.above_zero
    assert bootstrap.mean_difference(hard, hard).high == 0.0


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    trials, held = 300, 0
    rng = np.random.default_rng(12)
    block = np.repeat(np.arange(50), 6)
    for _ in range(trials):
        values = rng.normal(size=50)[block] + rng.normal(size=300)
        found = BlockBootstrap(block, draws=300, seed=int(rng.integers(1 << 30))).mean(values)
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / trials <= 0.98


def test_symbols_that_move_together_need_blocks_of_the_market() -> None:
    """Five symbols with one spell in common: counted apart they promise far more than they hold."""
    trials, apart, together = 200, 0, 0
    rng = np.random.default_rng(21)
    market = np.tile(np.repeat(np.arange(40), 6), 5)
    spell = market + 40 * np.repeat(np.arange(5), 240)
    for _ in range(trials):
        values = rng.normal(size=40)[market] + 0.3 * rng.normal(size=200)[spell] + rng.normal(size=1200)
        seed = int(rng.integers(1 << 30))
        one = BlockBootstrap(spell, draws=300, seed=seed).mean(values)
        two = BlockBootstrap(market, draws=300, seed=seed).mean(values)
        apart += one.low <= 0 <= one.high
        together += two.low <= 0 <= two.high
    assert apart / trials < 0.75
    assert 0.88 <= together / trials <= 0.99


def test_a_draw_without_a_class_does_not_count() -> None:
    """Recall of a class that only one of three blocks has: draws without it say nothing of it."""
    block = np.repeat(np.arange(3), 4)
    values = np.column_stack((np.where(block == 0, [1, 1, 1, 0] * 3, 0), block == 0)).astype(float)

    def recall(sums: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return np.asarray(sums[:, 0] / sums[:, 1])

    found = BlockBootstrap(block, draws=200).interval(values, recall)
    assert (found.low, found.estimate, found.high) == (0.75, 0.75, 0.75)


@settings(max_examples=300 if LONG else 30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_neither_order_nor_names_of_blocks_matter(seed: int, blocks: int) -> None:
    block, values = uneven(seed, blocks)
    order = np.random.default_rng(seed).permutation(len(block))
    one = BlockBootstrap(block, draws=50).mean(values)
    two = BlockBootstrap(block[order] - 1000, draws=50).mean(values[order])
    assert (one.low, one.estimate, one.high) == pytest.approx((two.low, two.estimate, two.high), abs=1e-12)
    assert one.low <= one.high


def test_draws_do_not_depend_on_how_many_are_weighed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    block, values = uneven()
    whole = BlockBootstrap(block, draws=600).mean(values)
    monkeypatch.setattr("training.bootstrap._CHUNK", 7)
    assert BlockBootstrap(block, draws=600).mean(values) == whole


def test_one_block_says_nothing_of_the_spread() -> None:
    found = BlockBootstrap(np.zeros(5, dtype=np.int64)).mean(np.arange(5.0))
    assert found.estimate == 2.0
    assert np.isnan([found.low, found.high]).all()
    assert not found.below_zero
    assert not found.above_zero


def test_what_cannot_be_an_interval_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(0,\)"):
        BlockBootstrap(np.empty(0, dtype=np.int64))
    with pytest.raises(DataError, match=r"shape \(2, 2\)"):
        BlockBootstrap(np.zeros((2, 2), dtype=np.int64))
    with pytest.raises(DataError, match="0 draws"):
        BlockBootstrap(np.arange(3), draws=0)
    with pytest.raises(DataError, match=r"level 1\.0"):
        BlockBootstrap(np.arange(3), level=1.0)
    bootstrap = BlockBootstrap(np.arange(3))
    with pytest.raises(DataError, match=r"expected \(3, n\)"):
        bootstrap.mean(np.arange(4.0))
    with pytest.raises(DataError, match="row 1 of the values is not finite"):
        bootstrap.mean(np.array([0.0, np.nan, 1.0]))
