"""How a recipe is judged without looking ahead: purged blocks inside the rows that it may learn from."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from features.bars import FloatArray
from features.errors import TrainingError
from training.calibration import fit_strength, fit_temperature
from training.dataset import Dataset, spell_weights
from training.evaluation.metrics import row_log_loss
from training.models.boosted_logistic import BoostedLogistic, softmax
from training.recipe import Recipe
from training.splits import Block, purged_blocks

__all__ = ["InnerBlocks"]

IndexArray = npt.NDArray[np.intp]


class InnerBlocks:
    """Blocks of the training rows, each answered by a model of the others.

    The same blocks for every recipe: how many there are, their purge and the rows are those of the recipe
    that the search begins with.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
        Says how many blocks and how long the embargo.
    train : ndarray of int
        Rows that may be learned from; nothing else is read.

    Raises
    ------
    TrainingError
        If fewer than two blocks can be answered.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, train: IndexArray) -> None:
        self.dataset = dataset
        found = purged_blocks(
            dataset.time,
            dataset.confirmed_at,
            np.asarray(train),
            blocks=recipe.inner_blocks,
            embargo_days=recipe.splits.embargo_days,
        )
        self.blocks: tuple[Block, ...] = tuple(
            block for block in found if len(np.unique(dataset.y[block.train])) >= 2
        )
        if len(self.blocks) < 2:
            days = (dataset.time[train].max() - dataset.time[train].min()) / pd.Timedelta(days=1)
            raise TrainingError(
                f"{len(self.blocks)} of {recipe.inner_blocks} blocks of the training rows can be answered, "
                f"at least 2 are needed to judge a recipe; the rows span {days:.0f} days",
                hint="use a longer history",
            )

    def rows(self, blocks: int | None = None) -> IndexArray:
        """Bars of the first blocks, block after block; of all of them without a number."""
        return np.concatenate([block.test for block in self.blocks[:blocks]])

    def spells(self) -> npt.NDArray[np.int64]:
        """Spell of each bar of :meth:`rows`."""
        return np.asarray(self.dataset.spell[self.rows()])

    def losses(
        self, recipe: Recipe, told: Callable[[int, float], None] = lambda _block, _loss: None
    ) -> FloatArray:
        """Log loss of each answered bar, calibrated as a fold would be.

        Parameters
        ----------
        recipe : Recipe
            Features, blocks and embargo are not read from it.
        told : callable
            After each block, in order: its number from 0, and the log loss of all blocks so far. What it
            raises ends the work.

        Returns
        -------
        ndarray of shape (n_rows,)
            In the order of :meth:`rows`.
        """
        base: list[FloatArray] = []
        every: list[FloatArray] = []
        loss = np.empty(0)
        workers = os.cpu_count() or 1
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            for begin in range(0, len(self.blocks), workers):
                # As many blocks at a time as there are cores, told one by one: a trial that is given up has
                # fitted at most the blocks beside the last, and is given up at the same one on any machine.
                part = self.blocks[begin : begin + workers]
                for offset, (start, whole) in enumerate(
                    pool.map(lambda one: self._answer(recipe, one), part)
                ):
                    base.append(start)
                    every.append(whole)
                    loss = self._loss(recipe, np.concatenate(base), np.concatenate(every))
                    told(begin + offset, float(loss.mean()))
        return loss

    def _answer(self, recipe: Recipe, block: Block) -> tuple[FloatArray, FloatArray]:
        """Log-odds of the block's bars: of the base, and of all of the model."""
        y, spell = self.dataset.y[block.train], self.dataset.spell[block.train]
        weight = spell_weights(y, spell, recipe.spell_power)
        model = BoostedLogistic(recipe.boosting).fit(self.dataset.X[block.train], y, weight)
        X = self.dataset.X[block.test]
        return model.base_log_odds(X), model.log_odds(X)

    def _loss(self, recipe: Recipe, base: FloatArray, every: FloatArray) -> FloatArray:
        bars = self.rows()[: len(base)]
        y, spells = self.dataset.y[bars], len(np.unique(self.dataset.spell[bars]))
        log_odds = every
        if recipe.boosting.prior:
            temperature, strength = fit_strength(base, every - base, y, spells)
            log_odds = base + strength * (every - base)
        else:
            temperature = fit_temperature(log_odds, y, spells)
        return row_log_loss(softmax(log_odds / temperature), y)
