"""Fit the squeeze model on what was known at a moment: model, out-of-fold residuals, offsets, tails.

The offsets come from rows that the answering model had not seen: purged cross-validation inside the
known rows. A residual weighs less the older it is, so that the offsets follow the market from one
retraining to the next, and only then.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from features.bars import FloatArray
from features.errors import TrainingError
from serving.excursion import Tail
from serving.squeeze import HORIZONS, LEVELS
from training.dataset import Dataset
from training.splits import purged_blocks
from training.squeeze.model import SqueezeModel, VolatilityBase, fit_base, fit_trees
from training.squeeze.outcomes import CELLS, SqueezeTable
from training.squeeze.settings import SqueezeSettings
from training.squeeze.tail import fit_tail, recency_weights, weighted_quantile

__all__ = ["SMALLEST_SCALE", "corrected", "fit_squeeze", "known_rows"]

SMALLEST_SCALE = 0.01
"""A smaller move has no more to say: logs of nothing are not fitted."""
SMALLEST_STEP = 1e-3
"""Between the logs of neighbouring quantiles of the tail."""
FEWEST_WEEKS = 8.0
SHIFT_LEVEL = 0.98
"""Level of the residuals at which symbols are compared."""
PRIOR_WEEKS = 104.0
"""A symbol's own tail weighs as much as that of all once so many weeks speak for it."""
IndexArray = npt.NDArray[np.intp]


def known_rows(
    dataset: Dataset, table: SqueezeTable, cut: pd.Timestamp, symbols: npt.NDArray[np.int64]
) -> IndexArray:
    """Sampled rows whose longest horizon had ended before ``cut``, of some symbols, with every outcome."""
    ended = np.asarray(dataset.time + pd.Timedelta(days=max(HORIZONS)) < cut)
    whole = np.isfinite(table.scales).all(axis=1) & np.isfinite(table.variance).all(axis=1)
    whole &= np.isfinite(table.X).all(axis=1)
    return np.flatnonzero(ended & whole & dataset.sampled & np.isin(dataset.symbol, symbols))


def fit_squeeze(
    dataset: Dataset,
    table: SqueezeTable,
    settings: SqueezeSettings,
    cut: pd.Timestamp,
    *,
    symbols: npt.NDArray[np.int64],
    blocks: int,
    embargo_days: float,
    threads: int | None = None,
) -> SqueezeModel:
    """Fit one squeeze model.

    Parameters
    ----------
    dataset : Dataset
    table : SqueezeTable
    settings : SqueezeSettings
    cut : pandas.Timestamp
        Only outcomes whose seven days had ended before it count.
    symbols : ndarray of int
        That may be learned from.
    blocks, embargo_days : number
        Of the cross-validation that the offsets come from.
    threads : int, optional
        Models that are fitted side by side; one for each core by default. The bits do not depend on it.

    Raises
    ------
    TrainingError
        If too few outcomes are known.
    """
    rows = known_rows(dataset, table, cut, symbols)
    weeks = len(rows) / (7 * dataset.rows_per_day)
    if weeks < FEWEST_WEEKS:
        raise TrainingError(
            f"only {len(rows)} sampled bars have a known outcome after {max(HORIZONS)} days and all that the "
            f"squeeze model reads: {weeks:.1f} weeks, at least {FEWEST_WEEKS:.0f} are needed",
            hint="use a longer history",
        )
    ended = pd.Series(dataset.time + pd.Timedelta(days=max(HORIZONS)))
    cuts = purged_blocks(dataset.time, ended, rows, blocks=blocks, embargo_days=embargo_days)
    if not cuts:
        raise TrainingError(
            f"{weeks:.1f} weeks of outcomes cannot be cut into blocks for the offsets of the squeeze model",
            hint="use a longer history",
        )
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        whole, *siblings = [
            _Started(dataset.symbols, table, settings, learned, pool)
            for learned in (rows, *(block.train for block in cuts))
        ]
        model = whole.model(settings, len(rows), weeks)
        raw = np.concatenate(
            [
                sibling.model(settings, 1, 0.0).raw(table.X[block.test])
                for sibling, block in zip(siblings, cuts, strict=True)
            ]
        )
    held = np.concatenate([block.test for block in cuts])
    age = np.asarray((cut - dataset.time[held]) / pd.Timedelta(days=1), dtype=np.float64)
    weights = recency_weights(age, settings.half_life_days)
    return corrected(model, _targets(table, held), raw, weights, dataset.symbol[held], dataset.rows_per_day)


def _targets(table: SqueezeTable, rows: IndexArray) -> FloatArray:
    """Logs of the scales, shape (n_rows, 6)."""
    return np.asarray(np.log(np.maximum(table.scales[rows], SMALLEST_SCALE)))


class _Started:
    """A model whose trees are being fitted beside others."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        table: SqueezeTable,
        settings: SqueezeSettings,
        rows: IndexArray,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.symbols = symbols
        X = np.ascontiguousarray(table.X[rows])
        self.base: VolatilityBase = fit_base(X, table.variance[rows], settings.penalty)
        base, target = self.base.answer(X), _targets(table, rows)
        self.fits = [
            [
                pool.submit(fit_trees, X, target[:, cell], base[:, cell % len(HORIZONS)], level, settings)
                for cell in range(len(CELLS))
            ]
            for level in LEVELS[:2]
        ]

    def model(self, settings: SqueezeSettings, rows: int, weeks: float) -> SqueezeModel:
        """The model without its offsets; waits for its trees."""
        found = [[one.result() for one in level] for level in self.fits]
        return SqueezeModel(
            settings=settings,
            base=self.base,
            start=np.array([[start for start, _ in level] for level in found]),
            median=tuple(booster for _, booster in found[0]),
            upper=tuple(booster for _, booster in found[1]),
            offsets=np.zeros((len(CELLS), len(LEVELS))),
            tails=(Tail(0.0, 1.0),) * len(CELLS),
            symbols=self.symbols,
            shifts=np.zeros((len(self.symbols), len(CELLS))),
            rows=rows,
            weeks=weeks,
        )


def corrected(
    model: SqueezeModel,
    target: FloatArray,
    raw: FloatArray,
    weights: FloatArray,
    symbol: npt.NDArray[np.int64],
    rows_per_day: float,
) -> SqueezeModel:
    """The model with shifts, offsets and tails from out-of-fold answers.

    Parameters
    ----------
    model : SqueezeModel
    target : ndarray of shape (n_rows, 6)
        Logs of the scales that came.
    raw : ndarray of shape (n_rows, 2, 6)
        What models that had not seen the rows said of them: see :meth:`SqueezeModel.raw`.
    weights : ndarray of shape (n_rows,)
    symbol : ndarray of int, shape (n_rows,)
    rows_per_day : float
        Of a symbol.
    """
    shifts = np.zeros((len(model.symbols), len(CELLS)))
    for cell in range(len(CELLS)):
        left = target[:, cell] - raw[:, 1, cell]
        shifts[:, cell] = _shifts(left, weights, symbol, len(model.symbols), 7 * rows_per_day)
    target = target - shifts[symbol]
    offsets = np.empty((len(CELLS), len(LEVELS)))
    tails = []
    for cell in range(len(CELLS)):
        median, upper = target[:, cell] - raw[:, 0, cell], target[:, cell] - raw[:, 1, cell]
        (offsets[cell, 0],) = weighted_quantile(median, weights, LEVELS[:1])
        threshold, *rest = weighted_quantile(
            upper, weights, (model.settings.tail_from, *LEVELS[1:4])
        ).tolist()
        offsets[cell, 1] = rest[0]
        climbed = 0.0
        for place, value in enumerate(rest[1:], start=2):
            climbed = max(value - rest[0], climbed + SMALLEST_STEP)
            offsets[cell, place] = climbed
        seen = rest[0] + offsets[cell, 3]  # the log of the last quantile that the residuals themselves give
        tail = fit_tail(np.exp(upper), float(np.exp(threshold)), float(np.exp(max(seen, threshold))))
        offsets[cell, 4] = offsets[cell, 3] + np.log(tail.factor((1 - LEVELS[4]) / (1 - LEVELS[3])))
        tails.append(_seen_from_last(tail))
    return replace(model, offsets=np.round(offsets, 9), tails=tuple(tails), shifts=shifts)


def _shifts(
    left: FloatArray,
    weights: FloatArray,
    symbol: npt.NDArray[np.int64],
    symbols: int,
    rows_per_week: float,
) -> FloatArray:
    """How much farther each symbol's tail reaches than that of all, drawn towards nothing by few weeks."""
    (whole,) = weighted_quantile(left, weights, (SHIFT_LEVEL,))
    found = np.zeros(symbols)
    for index in np.unique(symbol):
        mine = symbol == index
        weeks = mine.sum() / rows_per_week
        (own,) = weighted_quantile(left[mine], weights[mine], (SHIFT_LEVEL,))
        found[index] = weeks / (weeks + PRIOR_WEEKS) * (own - whole)
    return np.round(found, 9)


def _seen_from_last(tail: Tail) -> Tail:
    """The same tail, seen from the 99.9 % quantile in place of the 99.5 % one."""
    factor = tail.factor((1 - LEVELS[4]) / (1 - LEVELS[3]))
    return Tail(tail.shape, round((tail.scale + tail.shape * (factor - 1)) / factor, 9))
