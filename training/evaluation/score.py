"""Everything that one model's answers are measured by, each figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.bootstrap import BlockBootstrap, Interval
from training.dataset import Dataset
from training.evaluation.answers import Answers, IndexArray, scored_rows
from training.evaluation.blocks import market_blocks
from training.evaluation.intervals import HEADLINES, headline_sums
from training.evaluation.metrics import scores
from training.evaluation.turns import Turns, turns

__all__ = ["Score", "score", "spell_bootstrap"]

MARKET_METRICS = ("log_loss", "brier", "macro_f1", "balanced_accuracy", "f1_relief_rally", "ece")
"""Scores whose market interval is a metric too; the others' are in the report."""


@dataclass(frozen=True)
class Score:
    """What one model scored on its out-of-fold answers.

    Attributes
    ----------
    name : str
    values : dict of str to float
        As :func:`training.evaluation.scores`, pooled over folds and symbols.
    intervals : dict of str to Interval
        Of the headline scores; blocks are spells of one symbol each.
    market_intervals : dict of str to Interval
        The same; blocks are spells of the leading symbol with all symbols' bars of that time.
    by_symbol, by_fold, by_year : dict of str to dict of str to float
        Scores of parts; ``spells`` beside them. Folds are half-years.
    turns : Turns
        On every answered bar, not only those that scores are pooled over.
    spells, market_spells : int
        Independent spells in the scored rows: how much evidence there is, symbols counted apart and
        together.
    """

    name: str
    values: dict[str, float]
    intervals: dict[str, Interval]
    market_intervals: dict[str, Interval]
    by_symbol: dict[str, dict[str, float]]
    by_fold: dict[str, dict[str, float]]
    by_year: dict[str, dict[str, float]]
    turns: Turns
    spells: int
    market_spells: int

    def metrics(self) -> dict[str, float]:
        """Flat names, finite values only: scores, ``<score>_low`` and ``_high``, turns, spells."""
        flat = {**self.values, **self.turns.metrics()}
        for name, interval in self.intervals.items():
            flat |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        for name in MARKET_METRICS:
            interval = self.market_intervals[name]
            flat |= {f"{name}_market_low": interval.low, f"{name}_market_high": interval.high}
        flat |= {"spells": float(self.spells), "market_spells": float(self.market_spells)}
        return {name: value for name, value in flat.items() if np.isfinite(value)}


def spell_bootstrap(
    dataset: Dataset, answers: Answers, *, draws: int = 2000, seed: int = 7
) -> BlockBootstrap:
    """Bootstrap over the spells of the rows that some answers are scored on."""
    return BlockBootstrap(dataset.spell[scored_rows(dataset, answers)], draws=draws, seed=seed)


def score(dataset: Dataset, answers: Answers, bootstrap: BlockBootstrap | None = None) -> Score:
    """Score one model.

    Parameters
    ----------
    dataset : Dataset
    answers : Answers
        Out of fold, of the dataset's bars.
    bootstrap : BlockBootstrap, optional
        Over the spells of the scored rows (:func:`spell_bootstrap`); share it between models that
        answered the same bars, so that their draws are the same.

    Raises
    ------
    DataError
        If nothing can be scored, or the bootstrap is of other rows.
    """
    rows = scored_rows(dataset, answers)
    bootstrap = bootstrap or spell_bootstrap(dataset, answers)
    market = BlockBootstrap(
        market_blocks(dataset)[rows], draws=bootstrap.draws, level=bootstrap.level, seed=bootstrap.seed
    )
    p, y, regime = answers.probabilities[rows], dataset.y[rows], answers.regime[rows]
    sums = headline_sums(p, y, regime)
    time = dataset.time[rows]
    names = np.array(dataset.symbols)
    half_years = np.char.add(time.year.astype(str).to_numpy(), np.where(time.month < 7, "-01", "-07"))
    return Score(
        name=answers.name,
        values=scores(p, y, regime),
        intervals=bootstrap.intervals(sums, HEADLINES),
        market_intervals=market.intervals(sums, HEADLINES),
        by_symbol=_parts(dataset, answers, rows, names[dataset.symbol[rows]]),
        by_fold=_parts(dataset, answers, rows, half_years),
        by_year=_parts(dataset, answers, rows, time.year.astype(str).to_numpy()),
        turns=turns(np.where(dataset.present, answers.regime, -1), dataset.y, dataset.symbol, dataset.time),
        spells=bootstrap.blocks,
        market_spells=market.blocks,
    )


def _parts(
    dataset: Dataset, answers: Answers, rows: IndexArray, label: npt.NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Scores of the rows of each label, in the order of their names."""
    result = {}
    for name in np.unique(label).tolist():
        mine = rows[label == name]
        result[name] = scores(answers.probabilities[mine], dataset.y[mine], answers.regime[mine])
        result[name]["spells"] = float(len(np.unique(dataset.spell[mine])))
    return result
