"""Scores of a walk beside those of the baselines, on the same rows of the same folds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.regimes import REGIMES
from serving.squeeze import HORIZONS
from training.dataset import Dataset
from training.evaluation import (
    Answers,
    Difference,
    Score,
    difference,
    score,
    set_coverage,
    skill,
    spell_bootstrap,
)
from training.excursion import SURVIVAL_LEVEL, Excursions, coverage
from training.models.baselines import CountedAnswers, last_confirmed_label, moving_average_rule
from training.squeeze.evaluation import (
    SCORED_LEVELS,
    Coverage,
    Sharpness,
    coverages,
    sharpness,
    squeeze_metrics,
)
from training.walk_forward import Walk

__all__ = ["Report", "evaluate"]

MODEL = "model"
CLIMATOLOGY, PERSISTENCE, RULE = "climatology", "last_confirmed_label", "moving_average_rule"
IN_MANIFEST = ("log_loss", "macro_f1", "ece")
BY_PART = ("log_loss", "macro_f1", "f1_relief_rally")


@dataclass(frozen=True)
class Report:
    """What a walk scored; every number out of fold.

    Attributes
    ----------
    scores : dict of str to Score
        Of ``model``, ``base`` and each baseline, all on the same rows.
    differences : dict of str to Difference
        Log loss of the model less that of each of the others.
    excursion_coverage : dict of str to float
        Share of 7-day outcomes within the excursion at the survival level, by side: of the squeeze model,
        or of the table of regimes where there is none.
    set_coverage : dict of str to float
        Coverage and size of the prediction sets, also over the worst quarter; see
        :class:`training.evaluation.SetCoverage`.
    squeeze_coverage : tuple of Coverage
        How often the quantiles of the squeeze model held over the longest horizon; by symbol and answered
        regime beside all.
    squeeze_sharpness : tuple of Sharpness
        Pinball losses beside those of plain quantiles, for every horizon.
    """

    scores: dict[str, Score]
    differences: dict[str, Difference]
    excursion_coverage: dict[str, float]
    set_coverage: dict[str, float]
    squeeze_coverage: tuple[Coverage, ...] = field(default=())
    squeeze_sharpness: tuple[Sharpness, ...] = field(default=())

    @property
    def score(self) -> Score:
        """Of the model."""
        return self.scores[MODEL]

    @property
    def models(self) -> dict[str, dict[str, float]]:
        """Pooled scores, delays, switches and skill of each model; skill is against climatology."""
        climatology, persistence = self.scores[CLIMATOLOGY].values, self.scores[PERSISTENCE].values
        found = {}
        for name, one in self.scores.items():
            over = {f"{key}_over_persistence": v for key, v in skill(one.values, persistence).items()}
            found[name] = {**one.values, **one.turns.metrics(), **skill(one.values, climatology), **over}
        return found

    @property
    def symbols(self) -> dict[str, dict[str, float]]:
        """Scores of the model by symbol."""
        return self.score.by_symbol

    @property
    def folds(self) -> dict[str, dict[str, float]]:
        """Scores of the model by half-year."""
        return self.score.by_fold

    @property
    def years(self) -> dict[str, dict[str, float]]:
        """Scores of the model by year."""
        return self.score.by_year

    @property
    def spells(self) -> int:
        """Independent hindsight spells in the scored rows: how much evidence there is."""
        return self.score.spells

    @property
    def true_switches(self) -> float:
        """Switches a year of the hindsight labels; NaN without two bars that follow each other."""
        rate = self.score.turns.true_switches_per_year
        return float("nan") if rate is None else rate

    def metrics(self) -> dict[str, float]:
        """Flat names for MLflow and the manifest; finite values only."""
        models = self.models
        flat = {f"oos/{name}": value for name, value in {**self.score.metrics(), **models[MODEL]}.items()}
        for name, values in models.items():
            if name != MODEL:
                flat |= {f"baseline/{name}/{one}": values[one] for one in IN_MANIFEST}
        for part, table in (("symbol", self.symbols), ("year", self.years)):
            for name, values in table.items():
                flat |= {f"{part}/{name}/{one}": values[one] for one in BY_PART}
        for name, found in self.differences.items():
            flat |= {
                f"difference/{name}/log_loss": found.interval.estimate,
                f"difference/{name}/low": found.interval.low,
                f"difference/{name}/high": found.interval.high,
                f"difference/{name}/market_low": found.market.low,
                f"difference/{name}/market_high": found.market.high,
                f"difference/{name}/diebold_mariano_p": found.diebold_mariano.p_value,
            }
        flat |= {f"excursion/coverage_{side}": value for side, value in self.excursion_coverage.items()}
        found_squeeze = squeeze_metrics(self.squeeze_coverage, self.squeeze_sharpness)
        flat |= {f"squeeze/{name}": value for name, value in found_squeeze.items()}
        flat |= {f"sets/{name}": value for name, value in self.set_coverage.items()}
        flat["truth/switches_per_year"] = self.true_switches
        flat["oos/log_loss_over_rule"] = models[MODEL]["log_loss"] / models[RULE]["log_loss"]
        return {name: float(value) for name, value in flat.items() if np.isfinite(value)}

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; what is not defined is ``None``."""
        whole: dict[str, Any] = _plain(
            {
                "models": self.models,
                "symbols": self.symbols,
                "folds": self.folds,
                "years": self.years,
                "spells": self.spells,
                "market_spells": self.score.market_spells,
                "true_switches": self.true_switches,
                "intervals": {name: asdict(one) for name, one in self.score.intervals.items()},
                "market_intervals": {name: asdict(one) for name, one in self.score.market_intervals.items()},
                "turns": asdict(self.score.turns),
                "differences": {name: asdict(one) for name, one in self.differences.items()},
                "excursion_coverage": self.excursion_coverage,
                "set_coverage": self.set_coverage,
                "squeeze_coverage": [asdict(one) for one in self.squeeze_coverage],
                "squeeze_sharpness": [asdict(one) for one in self.squeeze_sharpness],
            }
        )
        return whole


def evaluate(dataset: Dataset, walk: Walk, excursions: Excursions) -> Report:
    """Score the walk and the baselines.

    Raises
    ------
    DataError
        If no fold answered a labelled bar.
    """
    model = Answers(MODEL, walk.probabilities, np.where(walk.fold >= 0, walk.regime, -1))
    others = [Answers.likeliest("base", _where_answered(walk.base_probabilities, walk))]
    others += [Answers.likeliest(name, table) for name, table in _baselines(dataset, walk).items()]
    bootstrap = spell_bootstrap(dataset, model)
    rows = walk.scored_rows(dataset)
    held: tuple[Coverage, ...] = ()
    sharp: tuple[Sharpness, ...] = ()
    within = _coverage(walk, excursions, np.flatnonzero((walk.fold >= 0) & dataset.present))
    if excursions.squeeze is not None:
        table, days = excursions.squeeze, HORIZONS[-1:]
        held = tuple(coverages(dataset, walk, table, horizons=days, levels=SCORED_LEVELS))
        sharp = tuple(sharpness(dataset, walk, table))
        whole = {one.side: one.share for one in held if one.part == "all" and one.level == SURVIVAL_LEVEL}
        within |= whole
    return Report(
        scores={one.name: score(dataset, one, bootstrap) for one in (model, *others)},
        differences={one.name: difference(dataset, model, one) for one in others},
        excursion_coverage=within,
        set_coverage=set_coverage(walk.sets[rows], dataset.y[rows], dataset.time[rows]).metrics(),
        squeeze_coverage=held,
        squeeze_sharpness=sharp,
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
        CLIMATOLOGY: (np.zeros(len(dataset.y), dtype=np.int64), 1),
        PERSISTENCE: (last, len(REGIMES) + 1),
        RULE: (rule, len(REGIMES)),
    }
    tables = {name: np.full((len(dataset.y), len(REGIMES)), np.nan) for name in answers}
    for fold in walk.folds:
        for name, (answer, kinds) in answers.items():
            counted = CountedAnswers(answer[fold.train], dataset.y[fold.train], kinds)
            tables[name][fold.test] = counted.probabilities(answer[fold.test])
    return tables


def _where_answered(probabilities: FloatArray, walk: Walk) -> FloatArray:
    return np.where((walk.fold >= 0)[:, None], probabilities, np.nan)


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


def _plain(value: Any) -> Any:
    """The same with ``None`` where a number is not finite: JSON has no other."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
