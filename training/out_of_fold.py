"""A model, and the answers of its siblings to rows that they were not fitted on.

Calibration, decision, prediction sets and excursions have to come from answers to rows that the answering
model had not seen. Purged cross-validation inside the training rows gives them: each block of time is
answered by a model of the others. The blocks' models never leave this module.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from features.bars import FloatArray
from features.regimes import REGIMES
from training.dataset import Dataset, spell_weights
from training.models.boosted_logistic import BoostedLogistic
from training.recipe import Recipe
from training.splits import purged_blocks

__all__ = ["OutOfFold", "fit_out_of_fold"]


@dataclass(frozen=True)
class OutOfFold:
    """A fitted model and what its siblings answered.

    Attributes
    ----------
    model : BoostedLogistic
        Of all training rows.
    rows : ndarray of int, shape (n_rows,)
        Bars that were answered, ascending: labelled, known at the cut, sampled or not.
    log_odds, base_log_odds : ndarray of shape (n_rows, 4)
        Of the sibling that had not seen the row, before any calibration; all of it, and its base alone.
    """

    model: BoostedLogistic
    rows: npt.NDArray[np.intp]
    log_odds: FloatArray
    base_log_odds: FloatArray


def fit_out_of_fold(
    dataset: Dataset,
    recipe: Recipe,
    train: npt.NDArray[np.intp],
    cut: pd.Timestamp,
    *,
    threads: int | None = None,
) -> OutOfFold:
    """Fit a model on all training rows, and one for each block on those outside it.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    train : ndarray of int
        Rows to learn from; their labels were confirmed before ``cut``.
    cut : pandas.Timestamp
        Blocks are of labels confirmed before it, of the symbols of ``train`` alone: a symbol that is left
        out of the training is left out of all that is fitted beside it.
    threads : int, optional
        Models that are fitted side by side; one for each core by default.
    """
    learned = np.isin(dataset.symbol, np.unique(dataset.symbol[train]))
    known = np.flatnonzero(
        np.asarray(dataset.confirmed_at < cut) & (dataset.y >= 0) & dataset.present & learned
    )
    blocks = purged_blocks(
        dataset.time,
        dataset.confirmed_at,
        known,
        blocks=recipe.inner_blocks,
        embargo_days=recipe.splits.embargo_days,
    )
    inner = [np.intersect1d(block.train, train, assume_unique=True) for block in blocks]
    pairs = [
        (rows, block)
        for rows, block in zip(inner, blocks, strict=True)
        if len(np.unique(dataset.y[rows])) >= 2
    ]
    # One thread a model and one model a core: faster than many threads a model, and the same bits anywhere.
    # The linear algebra must not start threads of its own beside them: they would only wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        model, *others = pool.map(
            lambda rows: _fit_model(dataset, recipe, rows), [train, *(r for r, _ in pairs)]
        )
    log_odds = np.full((len(dataset.y), len(REGIMES)), np.nan)
    base = log_odds.copy()
    for one, (_, block) in zip(others, pairs, strict=True):
        log_odds[block.test] = one.log_odds(dataset.X[block.test])
        base[block.test] = one.base_log_odds(dataset.X[block.test])
    answered = known[np.isfinite(log_odds[known, 0])]
    return OutOfFold(model, answered, log_odds[answered], base[answered])


def _fit_model(dataset: Dataset, recipe: Recipe, rows: npt.NDArray[np.intp]) -> BoostedLogistic:
    weight = spell_weights(dataset.y[rows], dataset.spell[rows], recipe.spell_power)
    return BoostedLogistic(recipe.boosting).fit(dataset.X[rows], dataset.y[rows], weight)
