"""What a comparison is about, in a form that travels to other processes; and what they make of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import pandas as pd

from features.errors import DataError
from features.history import History
from features.sources import load_histories
from training.dataset import Dataset, build_dataset
from training.excursion import Excursions
from training.recipe import Recipe
from training.splits import Axis, Fold, along_axis
from training.walk_forward import concatenated_excursions, walkable

__all__ = ["Market", "Plan", "Workbench", "proven", "workbench"]


@dataclass(frozen=True)
class Market:
    """Where the history of a comparison comes from.

    Attributes
    ----------
    source : str or None
        ``files``, ``simulated``; ``None``: the store.
    symbols : tuple of str
        Empty: all that the source has.
    path : Path or None
    store : Path or str
    interval : str
    since, until : pandas.Timestamp or None
    histories : tuple of History
        These, and nothing is read, where there are any.
    """

    source: str | None = None
    symbols: tuple[str, ...] = ()
    path: Path | None = None
    store: Path | str = "data"
    interval: str = "1h"
    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None
    histories: tuple[History, ...] = ()

    def load(self) -> list[History]:
        """Read and join."""
        if self.histories:
            return list(self.histories)
        return load_histories(
            self.source,
            list(self.symbols),
            path=self.path,
            store=self.store,
            interval=self.interval,
            since=self.since,
            until=self.until,
        )


@dataclass(frozen=True)
class Plan:
    """One comparison: the same data, folds and recipe for every process that works on it.

    Attributes
    ----------
    market : Market
    recipe : Recipe
        Of the project's model; the baselines take its splits, its features and its blocks.
    axis : {"time", "symbols", "both"}
        See :func:`training.splits.along_axis`.
    data_hash : str or None
        What the histories have to be, once that is known.
    key : str
        Names the comparison.
    """

    market: Market
    recipe: Recipe
    axis: Axis = "time"
    data_hash: str | None = None
    key: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Workbench:
    """What every job of a comparison needs, made once in each process.

    Attributes
    ----------
    dataset : Dataset
    recipe : Recipe
    folds : dict of str to Fold
        By name, oldest first.
    skipped : tuple of str
        Half-years that were not walked, and why.
    """

    dataset: Dataset
    recipe: Recipe
    folds: dict[str, Fold]
    skipped: tuple[str, ...]
    _kept: dict[str, Excursions] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Workbench:
        """Load, compute features and labels, split.

        Raises
        ------
        DataError
            If the data are not those of the plan any more.
        TrainingError
            If the history is too short for a fold.
        """
        dataset = build_dataset(plan.market.load(), plan.recipe.selected())
        found = dataset.data_hash()
        if plan.data_hash not in {None, found}:
            raise DataError(
                "the data changed while models were compared on them",
                code="data_changed",
                hint="compare again once nothing writes to the store or the files",
            )
        skipped: list[str] = []
        folds = along_axis(
            walkable(dataset, plan.recipe, skipped.append),
            plan.axis,
            symbol=dataset.symbol,
            names=dataset.symbols,
            confirmed_at=dataset.confirmed_at.where(dataset.usable),
        )
        return cls(dataset, plan.recipe, {fold.name: fold for fold in folds}, tuple(skipped))

    @property
    def excursions(self) -> Excursions:
        """Hindsight excursions of every bar, computed when first asked for."""
        if "all" not in self._kept:
            self._kept["all"] = concatenated_excursions(self.dataset, self.recipe.squeeze)
        return self._kept["all"]


_latest: list[tuple[str, Workbench]] = []
_making = threading.Lock()


def workbench(plan: Plan) -> Workbench:
    """The plan's workbench; kept until another comparison asks for its own."""
    with _making:
        if not _latest or _latest[0][0] != plan.key:
            _latest.clear()
            _latest.append((plan.key, Workbench.of(plan)))
        return _latest[0][1]


def proven(plan: Plan, dataset: Dataset) -> Plan:
    """The plan with the hash of its data in it."""
    return replace(plan, data_hash=dataset.data_hash())
