"""Adverse excursions against loops; the table uses outcomes that were known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_training import small_histories

from features.errors import TrainingError
from features.rolling.windows import COVERAGE
from training.dataset import Dataset
from training.excursion import (
    HORIZON_DAYS,
    SURVIVAL_LEVEL,
    Excursions,
    coverage,
    fit_advice,
    hindsight_excursions,
)
from training.walk_forward import Walk

HORIZON = 7 * 6


def variance(log_return: list[float], t: int, days: int) -> float:
    """Mean square of the last ``days`` of four-hour returns, per day."""
    n = days * 6
    squares = [r * r for r in log_return[t + 1 - n : t + 1] if math.isfinite(r)]
    return 6 * sum(squares) / len(squares) if len(squares) >= COVERAGE * n else math.nan


def test_excursions_are_the_worst_move_of_the_next_seven_days_in_units_of_volatility() -> None:
    history = small_histories()[1]  # the one with missing bars
    found = hindsight_excursions(history)
    high, low, close = (history.column(name).tolist() for name in ("high", "low", "close"))
    log_return = [math.nan, *np.diff(np.log(close)).tolist()]
    missing = [t for t in range(len(close)) if math.isnan(close[t])]
    rows = [*range(800, len(close), 97), *(missing[0] + k for k in (-60, -42, -20, -1, 0, 1, 3, 5))]
    seen = 0
    for t in rows:
        ahead = range(t + 1, t + 1 + HORIZON)
        if ahead[-1] >= len(close) or any(math.isnan(close[u]) for u in (t, *ahead)):
            assert math.isnan(found.short[t]), t
            assert math.isnan(found.long[t]), t
            continue
        sigma = math.sqrt(sum(variance(log_return, t, days) for days in (15, 30, 60, 119)) / 4)
        unit = sigma * math.sqrt(HORIZON_DAYS)
        up = max(0.0, math.log(max(high[u] for u in ahead) / close[t])) / unit
        down = max(0.0, math.log(close[t] / min(low[u] for u in ahead))) / unit
        assert found.short[t] == pytest.approx(up, rel=1e-9, nan_ok=True)
        assert found.long[t] == pytest.approx(down, rel=1e-9, nan_ok=True)
        assert found.volatility_ratio[t] == pytest.approx(
            0.5 * math.log(variance(log_return, t, 7) / variance(log_return, t, 60)), rel=1e-9, nan_ok=True
        )
        seen += math.isfinite(up)
    assert seen > 30


def test_an_outcome_that_was_not_known_changes_nothing(
    dataset: Dataset, excursions: Excursions, walk: Walk
) -> None:
    known = np.asarray(dataset.time + pd.Timedelta(days=7) < pd.Timestamp("2022-10-01", tz="UTC"))
    before = fit_advice(excursions, walk.regime, known, dataset.time, 42)
    rng = np.random.default_rng(0)

    def disturbed(rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Excursions:
        factor = np.where(rows, rng.uniform(2, 5, len(rows)), 1.0)
        return Excursions(
            excursions.short * factor,
            excursions.long * factor,
            excursions.volatility_ratio + rows,
            excursions.sigma_day * factor,
        )

    assert fit_advice(disturbed(~known), walk.regime, known, dataset.time, 42) == before
    assert fit_advice(disturbed(known), walk.regime, known, dataset.time, 42) != before


def test_the_last_bar_whose_week_ended_before_the_cut_is_the_last_that_counts(
    dataset: Dataset, excursions: Excursions, walk: Walk
) -> None:
    """The fold's own table, made again by what was known at its cut; a bar more and it is another."""
    fitted = walk.models[1]
    worst = replace(excursions, short=excursions.short.copy())
    week = np.asarray(dataset.time + pd.Timedelta(days=7))
    first_unknown = week == fitted.trained_until
    assert first_unknown.any()
    answered = np.full(len(dataset.y), -1, dtype=np.int64)
    plain = fit_advice(excursions, answered, week < fitted.trained_until, dataset.time, 42)
    worst.short[week >= fitted.trained_until] = 99.0
    assert fit_advice(worst, answered, week < fitted.trained_until, dataset.time, 42) == plain


def test_the_table_covers_what_it_was_made_from(dataset: Dataset, excursions: Excursions, walk: Walk) -> None:
    """Drawn towards the whole and widened, it holds at least the stated level of its own rows."""
    rows = np.flatnonzero((walk.fold >= 0) & np.isfinite(excursions.short))
    known = np.zeros(len(dataset.y), dtype=bool)
    known[rows] = True
    table = fit_advice(excursions, walk.regime, known, dataset.time, 42)
    found = coverage(excursions, rows, walk.regime[rows], table)
    assert all(SURVIVAL_LEVEL - 0.005 <= value <= 1.0 for value in found.values())
    assert np.array(table.excursion_short).shape == (4, 3)
    assert (np.array(table.excursion_long) > 0).all()


def test_coverage_counts_by_loops(excursions: Excursions, walk: Walk) -> None:
    known = np.isfinite(excursions.short) & np.isfinite(excursions.volatility_ratio)
    rows = np.flatnonzero((walk.fold >= 0) & known)[::17]
    table = walk.models[0].advice.model_copy(
        update={
            "excursion_short": [[0.2 + 0.1 * r + 0.05 * b for b in range(3)] for r in range(4)],
            "excursion_long": [[0.4 - 0.1 * r + 0.05 * b for b in range(3)] for r in range(4)],
        }
    )
    held = {"short": 0, "long": 0}
    for row in rows:
        bucket = sum(excursions.volatility_ratio[row] >= edge for edge in table.volatility_edges)
        regime = walk.regime[row]
        held["short"] += excursions.short[row] <= table.excursion_short[regime][bucket]
        held["long"] += excursions.long[row] <= table.excursion_long[regime][bucket]
    found = coverage(excursions, rows, walk.regime[rows], table)
    assert found == {side: pytest.approx(count / len(rows)) for side, count in held.items()}
    assert 0.05 < found["short"] < 0.95


def test_too_few_outcomes_are_refused(dataset: Dataset, excursions: Excursions, walk: Walk) -> None:
    known = np.zeros(len(dataset.y), dtype=bool)
    known[2000:2020] = True
    with pytest.raises(TrainingError, match="only 20 bars have a known outcome after 7 days"):
        fit_advice(excursions, walk.regime, known, dataset.time, 42)
