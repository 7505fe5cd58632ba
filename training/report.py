"""Scores of a walk beside those of the baselines, on the same rows of the same folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES
from training.dataset import Dataset
from training.evaluation import scores, switches_per_year
from training.excursion import Excursions, coverage
from training.models.baselines import CountedAnswers, last_confirmed_label, moving_average_rule
from training.walk_forward import Walk

__all__ = ["Report", "evaluate"]


@dataclass(frozen=True)
class Report:
    """What a walk scored; every number out of fold.

    Attributes
    ----------
    models : dict of str to dict
        Scores of ``model``, ``logistic_base`` and each baseline, pooled over folds and symbols.
    symbols : dict of str to dict
        Scores of the model by symbol.
    folds : dict of str to dict
        Scores of the model by fold.
    spells : int
        Independent hindsight spells in the scored rows: how much evidence there is.
    true_switches : float
        Switches a year of the hindsight labels.
    excursion_coverage : dict of str to float
        Share of 7-day outcomes within the excursion at the survival level, by side.
    """

    models: dict[str, dict[str, float]]
    symbols: dict[str, dict[str, float]]
    folds: dict[str, dict[str, float]]
    spells: int
    true_switches: float
    excursion_coverage: dict[str, float]

    def metrics(self) -> dict[str, float]:
        """Flat names for MLflow and the manifest."""
        flat = {f"oos/{name}": value for name, value in self.models["model"].items()}
        for name, values in self.models.items():
            if name != "model":
                flat |= {f"baseline/{name}/{one}": values[one] for one in ("log_loss", "macro_f1", "ece")}
        for name, values in self.symbols.items():
            flat |= {
                f"symbol/{name}/{one}": values[one] for one in ("log_loss", "macro_f1", "f1_relief_rally")
            }
        flat |= {f"excursion/coverage_{side}": value for side, value in self.excursion_coverage.items()}
        flat["oos/spells"] = float(self.spells)
        flat["truth/switches_per_year"] = self.true_switches
        rule = self.models["moving_average_rule"]["log_loss"]
        flat["oos/log_loss_over_rule"] = self.models["model"]["log_loss"] / rule
        return flat


def evaluate(dataset: Dataset, walk: Walk, excursions: Excursions) -> Report:
    """Score the walk and the baselines."""
    rows = walk.scored_rows(dataset)
    y = dataset.y[rows]
    answered = np.flatnonzero((walk.fold >= 0) & dataset.present)
    labelled = answered[dataset.y[answered] >= 0]

    def switches(regime: npt.NDArray[np.int64], where: npt.NDArray[np.intp]) -> float:
        return switches_per_year(regime[where], dataset.symbol[where], dataset.time[where])

    models: dict[str, dict[str, float]] = {}
    models["model"] = scores(walk.probabilities[rows], y, walk.regime[rows])
    models["model"]["switches_per_year"] = switches(walk.regime, answered)
    entries: list[tuple[str, FloatArray]] = [("logistic_base", walk.base_probabilities)]
    entries += [(name, table) for name, table in _baselines(dataset, walk).items()]
    for name, table in entries:
        best = np.full(len(table), -1, dtype=np.int64)
        best[answered] = table[answered].argmax(axis=1)
        models[name] = scores(table[rows], y)
        models[name]["switches_per_year"] = switches(best, answered)
    by_symbol = {}
    for index, name in enumerate(dataset.symbols):
        mine = rows[dataset.symbol[rows] == index]
        if len(mine):
            by_symbol[name] = scores(walk.probabilities[mine], dataset.y[mine], walk.regime[mine])
            by_symbol[name]["spells"] = float(len(np.unique(dataset.spell[mine])))
    by_fold = {}
    for index, fold in enumerate(walk.folds):
        mine = rows[walk.fold[rows] == index]
        by_fold[fold.name] = scores(walk.probabilities[mine], dataset.y[mine], walk.regime[mine])
    return Report(
        models=models,
        symbols=by_symbol,
        folds=by_fold,
        spells=len(np.unique(dataset.spell[rows])),
        true_switches=switches(dataset.y.astype(np.int64), labelled),
        excursion_coverage=_coverage(walk, excursions, answered),
    )


def _baselines(dataset: Dataset, walk: Walk) -> dict[str, FloatArray]:
    """Probabilities of each baseline at the answered bars, calibrated fold by fold."""
    rule = np.concatenate([moving_average_rule(history) for history in dataset.histories])
    last = np.full(len(dataset.y), len(REGIMES), dtype=np.int64)
    for index in range(len(dataset.symbols)):
        mine = np.flatnonzero(dataset.symbol == index)
        last[mine] = last_confirmed_label(
            dataset.time[mine], dataset.y[mine], dataset.confirmed_at.iloc[mine]
        )
    answers = {
        "climatology": (np.zeros(len(dataset.y), dtype=np.int64), 1),
        "last_confirmed_label": (last, len(REGIMES) + 1),
        "moving_average_rule": (rule, len(REGIMES)),
    }
    tables = {name: np.full((len(dataset.y), len(REGIMES)), np.nan) for name in answers}
    for fold in walk.folds:
        for name, (answer, kinds) in answers.items():
            counted = CountedAnswers(answer[fold.train], dataset.y[fold.train], kinds)
            tables[name][fold.test] = counted.probabilities(answer[fold.test])
    return tables


def _coverage(walk: Walk, excursions: Excursions, answered: npt.NDArray[np.intp]) -> dict[str, float]:
    total = {"short": 0.0, "long": 0.0}
    count = 0
    for index, fitted in enumerate(walk.models):
        rows = answered[(walk.fold[answered] == index) & np.isfinite(excursions.short[answered])]
        if not len(rows):
            continue
        found = coverage(excursions, rows, walk.regime[rows], fitted.advice)
        count += len(rows)
        for side in total:
            total[side] += found[side] * len(rows)
    return {side: value / count if count else float("nan") for side, value in total.items()}
