"""Folds fitted by a workforce, handed over in order.

A fold's model does not depend on the folds before it; its prediction sets do, by what the last ones held.
So the models are fitted wherever there is room, and the sets, which take no time, here, one after another.
Each worker makes the table of features for itself, from the same history, and proves that it is the same to
the last bit before it fits: a processor that rounds otherwise is an error, not another model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import BearmodeError
from features.parallel.outcomes import Tell
from features.parallel.symbol_tasks import each_symbol
from features.raw import interval_delta
from training.compare.plan import Market, Plan, Workbench, workbench
from training.dataset import Dataset
from training.parallel.one_thread import one_thread
from training.parallel.workforce import Workforce, fitting_versions, require_same_versions
from training.recipe import Recipe
from training.walk_forward import SetlessFit, fit_without_sets

__all__ = ["FINAL", "Fits", "final_rows", "fold_fits"]

FINAL = "final"
"""Name of the fit on everything, beside those of folds."""

Fits = Callable[[str], SetlessFit]
"""Gives the fit of a name; asked in the order in which the names were given."""


def final_rows(dataset: Dataset) -> tuple[npt.NDArray[np.intp], pd.Timestamp]:
    """Rows of the fit on everything, and the moment at which all of it is known.

    The moment is one bar after the last close: a label that the last close confirms counts.
    """
    known = dataset.time.max() + interval_delta(dataset.histories[0].interval)
    return np.flatnonzero(dataset.usable), known


@contextmanager
def fold_fits(
    dataset: Dataset, recipe: Recipe, names: Sequence[str], workforce: Workforce
) -> Iterator[Fits | None]:
    """Fits of some folds while the block runs; ``None`` where this process is to make them itself.

    Parameters
    ----------
    dataset : Dataset
    recipe : Recipe
    names : sequence of str
        Names of folds, oldest first; :data:`FINAL` is the fit on everything.
    workforce : Workforce

    Raises
    ------
    BearmodeError
        In the fit that is asked for: what its worker failed with. Or if there are no workers at all.
    """
    if workforce.here or not names:
        yield None
        return
    travels = Market(histories=dataset.histories)
    market = travels if workforce.scheduler is None else workforce.market or travels
    plan = Plan(market, recipe, data_hash=dataset.data_hash())
    task = partial(
        _fit_one,
        plan=plan,
        feature_hash=dataset.feature_hash(),
        threads=workforce.threads,
        versions=fitting_versions(),
    )
    workers = None if workforce.workers is None else min(workforce.workers, len(names))
    if workers == 1:  # a single fit has no one beside it: this process has a thread for each core
        yield None
        return
    outcomes = each_symbol(task, list(names), workers=workers, scheduler=workforce.scheduler)
    with closing(outcomes):

        def next_fit(name: str) -> SetlessFit:
            outcome = next(outcomes)
            if outcome.error is not None:
                raise outcome.error
            if outcome.symbol != name or outcome.result is None:
                raise BearmodeError(f"the fit of {outcome.symbol} came where that of {name} was asked for")
            return outcome.result

        yield next_fit


def _fit_one(
    name: str, tell: Tell, *, plan: Plan, feature_hash: str, threads: int, versions: Mapping[str, str]
) -> SetlessFit:
    """Fit one fold; in a worker."""
    require_same_versions(versions)
    bench = workbench(plan)
    _require_same_table(bench, feature_hash)
    if name == FINAL:
        train, cut = final_rows(bench.dataset)
    else:
        train, cut = bench.folds[name].train, bench.folds[name].cut
    with one_thread():
        found = fit_without_sets(bench.dataset, bench.recipe, bench.excursions, train, cut, threads=threads)
    tell(name, 1, 1)
    return found


def _require_same_table(bench: Workbench, expected: str) -> None:
    if bench.dataset.feature_hash() != expected:
        raise BearmodeError(
            "a worker computes other features from the same history",
            code="worker_differs",
            hint="its code changed since this process began, or its processor rounds otherwise; begin again, "
            "on machines of one kind",
        )
