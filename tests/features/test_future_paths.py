"""Paths over futures: numpy and the compiled part give the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.families import future_paths
from features.families.future_paths import LARGEST, FuturePaths
from features.regimes import FAST_BACK_DAYS, SLOW_AHEAD_DAYS

BEHIND, AHEAD, FUTURES = 19, 10, 8
needs_compiled = pytest.mark.skipif(
    future_paths.COMPILED is None, reason="the compiled part was not built: there was no C compiler"
)


def made(rows: int, seed: int) -> FuturePaths:
    rng = np.random.default_rng(seed)

    def table(*shape: int, spread: float = 0.3) -> future_paths.Float32Array:
        return rng.normal(0, spread, shape).astype(np.float32)

    walks = table(AHEAD + SLOW_AHEAD_DAYS + 1, FUTURES, spread=3)
    walks[0] = 0
    return FuturePaths(
        walks=walks,
        reach=np.abs(table(rows)),
        settled=np.abs(table(4, rows)),
        moves=table(BEHIND + FAST_BACK_DAYS + 1, rows),
        back=table(BEHIND + 1 + AHEAD, rows),
        slow_unit=np.abs(table(BEHIND + 1 + AHEAD, rows, spread=5)),
        fast_unit=np.abs(table(BEHIND + 1 + AHEAD, rows, spread=9)),
    )


def spoiled(paths: FuturePaths, seed: int) -> FuturePaths:
    """The same with values that are missing, infinite and zero here and there."""
    rng = np.random.default_rng(seed)
    changed = {}
    for name in ("reach", "settled", "moves", "back", "slow_unit", "fast_unit"):
        values = getattr(paths, name).copy()
        for bad in (np.nan, np.inf, -np.inf, 0.0, -0.0):
            values.reshape(-1)[rng.integers(0, values.size, 2)] = bad
        changed[name] = values
    return replace(paths, **changed)


@needs_compiled
@pytest.mark.parametrize(
    ("rows", "bad"), [(1, False), (7, False), (64, True), (241, False), (241, True), (LARGEST, True)]
)
def test_the_compiled_part_gives_the_bits_of_numpy(rows: int, bad: bool) -> None:
    for seed in range(4):
        paths = spoiled(made(rows, seed), seed) if bad else made(rows, seed)
        with np.errstate(all="ignore"):
            expected = paths.in_numpy()
        found = paths.compiled()
        missing = np.isnan(expected)
        assert (np.isnan(found) == missing).all()
        assert (found[~missing] == expected[~missing]).all()
        assert missing.any() == bad
        assert np.isfinite(expected).any()


@needs_compiled
def test_tables_that_do_not_fit_are_refused() -> None:
    paths = made(5, 1)
    for name in ("reach", "settled", "moves", "back", "slow_unit", "fast_unit"):
        with pytest.raises(ValueError, match="do not fit"):
            replace(paths, **{name: getattr(paths, name)[:-1].copy()}).compiled()
    with pytest.raises(ValueError, match="do not fit"):
        made(LARGEST + 1, 1).compiled()


def test_each_row_is_the_same_alone_and_among_others() -> None:
    paths = made(20, 3)
    whole = paths.totals()
    for row in (0, 7, 19):
        alone = FuturePaths(
            paths.walks,
            **{
                name: np.ascontiguousarray(getattr(paths, name)[..., row : row + 1])
                for name in ("reach", "settled", "moves", "back", "slow_unit", "fast_unit")
            },
        )
        assert alone.totals().tobytes() == np.ascontiguousarray(whole[:, :, row : row + 1]).tobytes()
        assert alone.in_numpy().tobytes() == alone.totals().tobytes()


def test_without_a_compiler_numpy_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = made(3, 2)
    expected = paths.totals()
    monkeypatch.setattr(future_paths, "COMPILED", None)
    assert paths.totals().tobytes() == expected.tobytes()
    with pytest.raises(RuntimeError, match="C compiler"):
        paths.compiled()
