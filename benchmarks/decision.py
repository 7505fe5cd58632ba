"""What calibration, decision and prediction sets are worth on the real history, each against its rivals.

Fits every fold once and judges each variant on the same out-of-fold answers: temperature against vector
scaling, the regime by other costs and memories, prediction sets with and without each of their parts.
Everything is fitted inside the folds. These are the figures of ``docs/decisions/0009-decision.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize

from benchmarks.results import MARKET, options, report
from features.bars import FloatArray
from features.history import History
from features.regimes import REGIMES
from features.sources import load_files
from serving.decision import COSTS, Costs, DecisionParameters, decide
from serving.prediction_sets import SetParameters, prediction_sets
from training import conformal
from training.calibration import PRIOR_SD, fit_temperature
from training.conformal import achieved_coverage, fit_sets
from training.dataset import Dataset, build_dataset
from training.decision_tuning import tune_decision
from training.evaluation import scores, set_coverage, turns
from training.models.boosted_logistic import softmax
from training.out_of_fold import OutOfFold, fit_out_of_fold
from training.pipeline import default_features, default_recipe
from training.splits import Fold
from training.walk_forward import walkable

IntArray = npt.NDArray[np.int64]
PLAIN: Costs = (
    (0.0, 1.0, 1.0, 1.0),
    (1.0, 0.0, 1.0, 1.0),
    (1.0, 1.0, 0.0, 1.0),
    (1.0, 1.0, 1.0, 0.0),
)
LEAD_DAYS = 20
Calibrate = Callable[[FloatArray, npt.NDArray[np.int8], int], Callable[[FloatArray], FloatArray]]


@dataclass(frozen=True)
class Fitted:
    """One fold: what was answered out of fold inside it, and over its test span with a lead."""

    fold: Fold
    inner: OutOfFold
    span: npt.NDArray[np.intp]
    log_odds: FloatArray


def fitted_folds(dataset: Dataset) -> list[Fitted]:
    """Fit every fold."""
    recipe = default_recipe(dataset.features)
    found = []
    for fold in walkable(dataset, recipe):
        inner = fit_out_of_fold(dataset, recipe, fold.train, fold.cut)
        since = fold.start - pd.Timedelta(days=LEAD_DAYS)
        span = np.flatnonzero(np.asarray((dataset.time >= since) & (dataset.time < fold.end)))
        found.append(Fitted(fold, inner, span, inner.model.log_odds(dataset.X[span])))
        print(f"  fitted {fold.name}", flush=True)
    return found


def by_temperature(log_odds: FloatArray, y: npt.NDArray[np.int8], spells: int) -> Any:
    """The calibration that is served."""
    temperature = fit_temperature(log_odds, y, spells)
    return lambda found: softmax(found / temperature)


def by_vector(bias_sd: float, scale_sd: float) -> Calibrate:
    """Temperature, and a bias and a scale for each class (Guo et al. 2017), each with a normal prior."""

    def calibrate(log_odds: FloatArray, y: npt.NDArray[np.int8], spells: int) -> Any:
        rows = np.arange(len(y))
        spread = np.repeat([PRIOR_SD, scale_sd, bias_sd], [1, 4, 4])

        def calibrated(found: FloatArray, x: FloatArray) -> FloatArray:
            return softmax(found * np.exp(x[0] + x[1:5]) + x[5:])

        def loss(x: FloatArray) -> float:
            likelihood = -np.log(np.clip(calibrated(log_odds, x)[rows, y], 1e-15, 1)).mean()
            return float(spells * likelihood + 0.5 * ((x / spread) ** 2).sum())

        best = minimize(loss, np.zeros(9), method="L-BFGS-B").x
        return lambda found: calibrated(found, best)

    return calibrate


def calibrated(dataset: Dataset, one: Fitted, calibrate: Calibrate) -> tuple[FloatArray, FloatArray]:
    """Probabilities inside the fold and over its span."""
    inside = dataset.sampled[one.inner.rows]
    rows = one.inner.rows[inside]
    spells = len(np.unique(dataset.spell[rows]))
    by = calibrate(one.inner.log_odds[inside], dataset.y[rows], spells)
    return by(one.inner.log_odds), by(one.log_odds)


def tested(dataset: Dataset, one: Fitted) -> npt.NDArray[np.bool_]:
    """Which bars of the span are scored."""
    return dataset.usable[one.span] & np.asarray(dataset.time[one.span] >= one.fold.start)


def calibration(dataset: Dataset, folds: list[Fitted], calibrate: Calibrate) -> dict[str, float]:
    """Log loss and calibration errors of the pooled test rows."""
    p = np.concatenate([calibrated(dataset, one, calibrate)[1][tested(dataset, one)] for one in folds])
    y = np.concatenate([dataset.y[one.span[tested(dataset, one)]] for one in folds])
    found = scores(p, y)
    return {name: found[name] for name in ("log_loss", "ece", "ece_classwise")}


def decided(dataset: Dataset, one: Fitted, p: FloatArray, parameters: DecisionParameters) -> IntArray:
    """Regime of each bar of the span; meaningful once K bars of it have passed."""
    regime = np.full(len(one.span), -1, dtype=np.int64)
    k = parameters.smoothing_bars
    for index in range(len(dataset.symbols)):
        mine = np.flatnonzero(dataset.symbol[one.span] == index)
        padded = np.concatenate((np.full((k, len(REGIMES)), 0.25), p[mine]))
        here = np.concatenate((np.zeros(k, dtype=bool), dataset.present[one.span[mine]]))
        regime[mine] = decide(padded, here, parameters).regime
    return regime


def decision(
    dataset: Dataset, folds: list[Fitted], *, days: float | None, costs: Costs = COSTS
) -> dict[str, float]:
    """Macro F1, switches and delays of the decided regime; ``days`` is K, ``None`` the likeliest regime."""
    answer = np.full(len(dataset.y), -1, dtype=np.int64)
    p_all = np.full((len(dataset.y), len(REGIMES)), np.nan)
    for one in folds:
        inner, p = calibrated(dataset, one, by_temperature)
        if days is None:
            regime = p.argmax(axis=1)
        else:
            k = round(days * dataset.histories[0].per_day)
            chosen = tune_decision(inner, dataset, one.inner.rows, smoothing_bars=k, costs=costs)
            regime = decided(dataset, one, p, chosen)
        test = np.asarray(dataset.time[one.span] >= one.fold.start)
        answer[one.span[test]], p_all[one.span[test]] = regime[test], p[test]
    rows = np.flatnonzero(dataset.usable & (answer >= 0))
    found = scores(p_all[rows], dataset.y[rows], answer[rows])
    followed = turns(answer, dataset.y, dataset.symbol, dataset.time).metrics()
    names = ("switches_per_year", "true_switches_per_year", "false_switches_per_year")
    delays = [f"{kind}_{name}" for kind in ("delay_median_days", "missed_turns") for name in REGIMES]
    return {
        **{name: found[name] for name in ("macro_f1", "f1_bear", "f1_relief_rally", "recall_relief_rally")},
        **{name: followed[name] for name in (*names, *delays)},
    }


def sets(dataset: Dataset, folds: list[Fitted], *, fitted: bool, adaptive: bool) -> dict[str, float]:
    """Coverage and size of the prediction sets."""
    found, y, time = [], [], []
    former = None
    for one in folds:
        inner, p = calibrated(dataset, one, by_temperature)
        inside = dataset.sampled[one.inner.rows]
        rows = one.inner.rows[inside]
        if former is not None:
            former = last_achieved(dataset, former, one.fold.cut)
        age = np.asarray((one.fold.cut - dataset.time[rows]) / pd.Timedelta(days=1), dtype=np.float64)
        parameters = (
            fit_sets(inner[inside], dataset.y[rows], dataset.spell[rows], age, former if adaptive else None)
            if fitted
            else SetParameters()
        )
        test = tested(dataset, one)
        members = prediction_sets(p[test], parameters)
        found.append(members)
        y.append(dataset.y[one.span[test]])
        time.append(dataset.time[one.span[test]])
        former = (parameters, members, one.span[test])
    whole = pd.DatetimeIndex(time[0].append(time[1:]))
    return set_coverage(np.concatenate(found), np.concatenate(y), whole).metrics()


def last_achieved(dataset: Dataset, former: Any, cut: pd.Timestamp) -> Any:
    """What the fold before held, by labels known at the cut."""
    parameters, members, rows = former
    known = np.asarray(dataset.confirmed_at.iloc[rows] < cut)
    return achieved_coverage(parameters, members[known], dataset.y[rows[known]], dataset.spell[rows[known]])


def sets_of_one_threshold(dataset: Dataset, folds: list[Fitted]) -> dict[str, float]:
    """The same with one threshold for all regimes."""
    kept, conformal.PRIOR_SPELLS = conformal.PRIOR_SPELLS, 1e9
    try:
        return sets(dataset, folds, fitted=True, adaptive=False)
    finally:
        conformal.PRIOR_SPELLS = kept


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    if not MARKET.is_dir():
        print(f"skipped: {MARKET.name} with real history is not there")
        return
    histories = [History.from_raw(raw) for raw in load_files(MARKET, [])]
    dataset = build_dataset(histories, default_features())
    folds = fitted_folds(dataset)
    variants: dict[str, dict[str, float]] = {
        "no calibration": calibration(dataset, folds, lambda *_: softmax),
        "temperature": calibration(dataset, folds, by_temperature),
        "vector, bias 0.1": calibration(dataset, folds, by_vector(0.1, 1e-3)),
        "vector, bias 0.5": calibration(dataset, folds, by_vector(0.5, 1e-3)),
        "vector, scale 0.2": calibration(dataset, folds, by_vector(1e-3, 0.2)),
        "vector, both 0.2": calibration(dataset, folds, by_vector(0.2, 0.2)),
        "vector, no prior": calibration(dataset, folds, by_vector(5.0, 5.0)),
        "likeliest regime": decision(dataset, folds, days=None),
        "costs, K 10 days": decision(dataset, folds, days=10.0),
        "costs, K 2 days": decision(dataset, folds, days=2.0),
        "costs, K 5 days": decision(dataset, folds, days=5.0),
        "costs, K 20 days": decision(dataset, folds, days=20.0),
        "plain costs, K 10 days": decision(dataset, folds, days=10.0, costs=PLAIN),
        "sets that add up to 90 %": sets(dataset, folds, fitted=False, adaptive=False),
        "sets, one threshold": sets_of_one_threshold(dataset, folds),
        "sets, a threshold each": sets(dataset, folds, fitted=True, adaptive=False),
        "sets, adaptive": sets(dataset, folds, fitted=True, adaptive=True),
    }
    figures = {f"{name}: {key}": value for name, found in variants.items() for key, value in found.items()}
    report("decision", figures, arguments.json)


if __name__ == "__main__":
    main()
