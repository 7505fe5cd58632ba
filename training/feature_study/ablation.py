"""What a group of features adds: the same folds, seed and rows with it and without it.

A difference of log loss says something only beside two others: the interval over spells, which says
how far it depends on which spells there happened to be, and the difference between two fits of the
SAME features with another seed, which says how far one goes that means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from training.bootstrap import BlockBootstrap, Interval
from training.evaluation import scores
from training.feature_study.ablation_fit import SharedFits
from training.feature_study.ablation_variants import Variant

__all__ = ["Ablated", "Ablation", "Difference", "Judge", "ablate", "run_ablation"]

CALENDAR_DAYS = 61
"""Length of the calendar blocks."""


@dataclass(frozen=True)
class Ablated:
    """Out-of-fold answers of one variant.

    Attributes
    ----------
    variant : Variant
    loss : ndarray of shape (n_scored,)
        Log loss of each scored bar in nats, the mean over seeds.
    scores : dict of str to float
        As :func:`training.evaluation.scores`, for the likeliest regime; the mean over seeds.
    temperatures : dict of str to float
        By fold, the mean over seeds.
    gain : dict of str to float
        Share of the trees' gain by feature; what the linear base reads of it is not in there.
    """

    variant: Variant
    loss: FloatArray
    scores: dict[str, float]
    temperatures: dict[str, float]
    gain: dict[str, float]


@dataclass(frozen=True)
class Difference:
    """Log loss of one variant less that of another on the same rows; below zero is better.

    Attributes
    ----------
    variant, against : str
    spells : Interval
        Blocks are spells, each of one symbol.
    calendar : Interval
        Blocks are two months of ALL symbols: wider where symbols go the same way at the same time,
        which spells of single symbols count as separate evidence.
    folds, symbols : dict of str to float
        The difference by fold and by symbol.
    """

    variant: str
    against: str
    spells: Interval
    calendar: Interval
    folds: dict[str, float]
    symbols: dict[str, float]

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, or ``cannot tell`` where the interval over spells holds zero."""
        if self.spells.below_zero:
            return "better"
        return "worse" if self.spells.above_zero else "cannot tell"


def ablate(
    fits: SharedFits,
    variants: Sequence[Variant],
    *,
    seeds: int = 1,
    progress: Callable[[str], None] = lambda _name: None,
) -> Iterator[Ablated]:
    """Fit and answer every variant.

    Parameters
    ----------
    fits : SharedFits
    variants : sequence of Variant
    seeds : int, default=1
        Fit each with so many seeds and average the losses.
    progress : callable
        Told each variant as its work begins.

    Yields
    ------
    Ablated
        In the order of ``variants``.
    """
    y = fits.sample.dataset.y[np.concatenate([one.test for one in fits.folds])]
    rows = np.arange(len(y))
    for variant in variants:
        progress(variant.name)
        # Seeds of a repeated default lie beyond those that are averaged.
        steps = range(variant.seed_step * seeds, (variant.seed_step + 1) * seeds)
        walks = [fits.walk(variant.features, step) for step in steps]
        tables = [scores(one.probabilities, y) for one in walks]
        losses = [-np.log(np.clip(one.probabilities[rows, y], 1e-15, 1.0)) for one in walks]
        gain = np.mean([one.gain for one in walks], axis=0)
        temperatures = np.mean([one.temperatures for one in walks], axis=0)
        names = [one.fold.name for one in fits.folds]
        yield Ablated(
            variant=variant,
            loss=np.mean(losses, axis=0),
            scores={name: float(np.mean([table[name] for table in tables])) for name in tables[0]},
            temperatures=dict(zip(names, temperatures.tolist(), strict=True)),
            gain=dict(zip(variant.features, gain.tolist(), strict=True)),
        )


class Judge:
    """Compares variants on the same rows with the same draws.

    Parameters
    ----------
    fits : SharedFits
    draws : int, default=2000
    seed : int, default=7

    Raises
    ------
    TrainingError
        If the folds hold no scored bar.
    """

    def __init__(self, fits: SharedFits, *, draws: int = 2000, seed: int = 7) -> None:
        dataset = fits.sample.dataset
        bars = np.concatenate([one.test for one in fits.folds])
        if not len(bars):
            raise TrainingError("no fold holds a bar with a label: there is nothing to compare on")
        self.bars: npt.NDArray[np.intp] = bars
        self.spells = BlockBootstrap(dataset.spell[bars], draws=draws, seed=seed)
        days = (dataset.time[bars] - dataset.time[bars].min()) // pd.Timedelta(days=1)
        blocks = np.asarray(days, dtype=np.int64) // CALENDAR_DAYS
        self.calendar = BlockBootstrap(blocks, draws=draws, seed=seed)
        self._folds = {
            one.fold.name: np.isin(bars, one.test, assume_unique=True) for one in fits.folds if len(one.test)
        }
        self._symbols = {
            name: mine
            for index, name in enumerate(dataset.symbols)
            if (mine := dataset.symbol[bars] == index).any()
        }

    def difference(self, one: Ablated, other: Ablated) -> Difference:
        """Log loss of ``one`` less that of ``other``."""
        gap = one.loss - other.loss
        return Difference(
            variant=one.variant.name,
            against=other.variant.name,
            spells=self.spells.mean(gap),
            calendar=self.calendar.mean(gap),
            folds={name: float(gap[mine].mean()) for name, mine in self._folds.items()},
            symbols={name: float(gap[mine].mean()) for name, mine in self._symbols.items()},
        )


@dataclass(frozen=True)
class Ablation:
    """Models with and without groups, on the same scored bars.

    Attributes
    ----------
    models : tuple of Ablated
    differences : tuple of Difference
        One for each model that is compared with another.
    folds : tuple of str
    rows, spells, calendar_blocks : int
        Scored bars, and how many stories they tell.
    seeds, draws : int
        Fits that each loss is the mean of, and draws of the bootstrap.
    skipped_folds : tuple of str
        Half-years that were not walked, and why.
    """

    models: tuple[Ablated, ...]
    differences: tuple[Difference, ...]
    folds: tuple[str, ...]
    rows: int
    spells: int
    calendar_blocks: int
    seeds: int
    draws: int
    skipped_folds: tuple[str, ...] = ()

    def of_kind(self, *kinds: str) -> list[tuple[Ablated, Difference]]:
        """Models of some kinds, each with how it differs from what it is compared with."""
        models = {one.variant.name: one for one in self.models}
        pairs = [(models[one.variant], one) for one in self.differences]
        return [(model, one) for model, one in pairs if model.variant.kind in kinds]

    @property
    def seed_noise(self) -> float:
        """Largest difference that another seed alone made; NaN where none was tried."""
        found = [abs(one.spells.estimate) for _, one in self.of_kind("reseeded")]
        return max(found, default=float("nan"))


def run_ablation(
    fits: SharedFits,
    variants: Sequence[Variant],
    *,
    seeds: int = 1,
    draws: int = 2000,
    skipped_folds: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _name: None,
    told: Callable[[Ablated, Difference | None], None] = lambda _model, _difference: None,
) -> Ablation:
    """Fit every variant and compare it; ``told`` is given each as soon as it is done.

    Parameters
    ----------
    fits, variants, seeds, progress
        As for :func:`ablate`; a variant comes after the one that it is compared with.
    draws : int
        Of the bootstrap.
    skipped_folds : sequence of str
        Kept in the result.
    told : callable
        Given each model and its difference, ``None`` for a model that is compared with none.

    Raises
    ------
    TrainingError
        If the folds hold no scored bar.
    """
    judge = Judge(fits, draws=draws)
    models: dict[str, Ablated] = {}
    differences: list[Difference] = []
    for one in ablate(fits, variants, seeds=seeds, progress=progress):
        models[one.variant.name] = one
        against = one.variant.against
        difference = None if against is None else judge.difference(one, models[against])
        if difference is not None:
            differences.append(difference)
        told(one, difference)
    return Ablation(
        models=tuple(models.values()),
        differences=tuple(differences),
        folds=tuple(one.fold.name for one in fits.folds),
        rows=len(judge.bars),
        spells=judge.spells.blocks,
        calendar_blocks=judge.calendar.blocks,
        seeds=seeds,
        draws=draws,
        skipped_folds=tuple(skipped_folds),
    )
