"""The models of :mod:`benchmarks.model_steps`: what each adds to the log shares on rows it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from features.bars import FloatArray
from features.default_set import DEFAULT_FEATURES
from features.regimes import REGIMES
from training.dataset import spell_weights
from training.feature_study.feature_sample import FeatureSample
from training.models.boosted_logistic import ABSENT_LOG_ODDS, softmax
from training.recipe import Recipe

__all__ = ["LOG_SHARES", "StepFit", "StepTable", "step_models"]

LOG_SHARES = tuple(f"path_log_share_{name}" for name in REGIMES)
PATH = ("path_log_share_", "path_cost_")
BEFORE = tuple(name for name in DEFAULT_FEATURES if not name.startswith(PATH))
"""Features of the model before the labels' own path was among them."""
BASE = tuple(name for name in BEFORE if name.startswith(("return_", "above_mean_", "mean_")))
RISING = tuple(name for name in BASE if name.startswith(("return_", "above_mean_")))
"""Features that a leg up can only raise."""
BEAR, RANGING, RELIEF, BULL = range(4)
TREES: dict[str, Any] = {
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "lambda_l2": 50.0,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "extra_trees": True,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 7,
    "verbose": -1,
}
ROUNDS = 60
YEAR = 365.25
IndexArray = npt.NDArray[np.intp]
Model = Callable[["StepFit"], FloatArray]


class StepTable:
    """The sampled rows of all symbols, by names of features."""

    def __init__(self, sample: FeatureSample, recipe: Recipe) -> None:
        self.sample = sample
        self.recipe = recipe
        self._place = {name: column for column, name in enumerate(sample.names)}
        self._extra: dict[str, npt.NDArray[np.float32]] = {}
        self.groups = {feature.name: feature.group for feature in sample.features}

    def columns(self, bars: IndexArray, names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Values of bars, shape (n_bars, n_names)."""
        rows = self.sample.at(bars)
        return np.ascontiguousarray(np.column_stack([self._column(name)[rows] for name in names]))

    def _column(self, name: str) -> npt.NDArray[np.float32]:
        if name in self._place:
            return self.sample.X[:, self._place[name]]
        if name not in self._extra:
            kind, of = name.split(":")
            self._extra[name] = self._symbol(int(of)) if kind == "symbol" else self._ranked(of)
        return self._extra[name]

    def _symbol(self, index: int) -> npt.NDArray[np.float32]:
        return np.asarray(self.sample.symbol == index, dtype=np.float32)

    def _ranked(self, name: str) -> npt.NDArray[np.float32]:
        """Rank within the symbol's own last year: uses nothing later."""
        values = pd.Series(self.sample.X[:, self._place[name]])
        year = round(YEAR * 4)
        ranked = values.groupby(self.sample.symbol).rolling(year, min_periods=year // 6).rank(pct=True)
        return np.asarray(ranked.droplevel(0).sort_index().to_numpy(np.float32))

    def log_shares(self, bars: IndexArray) -> FloatArray:
        """Log shares of bars; the same for all regimes where they are missing."""
        found = self.columns(bars, LOG_SHARES).astype(np.float64)
        return np.where(np.isfinite(found), found, np.log(1 / len(REGIMES)))

    def y(self, bars: IndexArray) -> npt.NDArray[np.int8]:
        """Hindsight classes of bars."""
        return np.asarray(self.sample.dataset.y[bars])

    def weights(self, bars: IndexArray, power: float) -> FloatArray:
        """Weights by spell."""
        return spell_weights(self.y(bars), self.sample.dataset.spell[bars], power)


@dataclass(frozen=True)
class StepFit:
    """Bars to fit and bars to answer."""

    table: StepTable
    train: IndexArray
    test: IndexArray


def _prepared(fit: StepFit, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Imputed, standardised and clipped columns of the fitted and the answered bars."""
    train, test = (fit.table.columns(bars, names).astype(np.float64) for bars in (fit.train, fit.test))
    fill = np.nan_to_num(np.nanmedian(train, axis=0))
    train, test = (np.where(np.isfinite(one), one, fill) for one in (train, test))
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread == 0] = 1.0
    return np.clip((train - mean) / spread, -5, 5), np.clip((test - mean) / spread, -5, 5)


def logistic(names: Sequence[str], C: float) -> Model:
    """Multinomial logistic regression that starts from nothing."""

    def model(fit: StepFit) -> FloatArray:
        train, test = _prepared(fit, names)
        found = LogisticRegression(C=C, max_iter=1000)
        found.fit(train, fit.table.y(fit.train), sample_weight=fit.table.weights(fit.train, 0.25))
        out = np.full((len(test), len(REGIMES)), ABSENT_LOG_ODDS)
        decided = found.decision_function(test)
        if decided.ndim == 1:
            decided = np.column_stack((np.zeros(len(test)), decided))
        out[:, found.classes_] = decided
        return out

    return model


def linear(names: Sequence[str], C: float) -> Model:
    """Multinomial logistic regression that starts from the log shares; ridge towards adding nothing."""

    def model(fit: StepFit) -> FloatArray:
        train, test = _prepared(fit, names)
        train, test = (np.column_stack((one, np.ones(len(one)))) for one in (train, test))
        y, start = fit.table.y(fit.train), fit.table.log_shares(fit.train)
        weight = fit.table.weights(fit.train, 0.25)
        truth, rows = np.eye(len(REGIMES))[y], np.arange(len(y))

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            coefficients = flat.reshape(-1, len(REGIMES))
            p = softmax(start + train @ coefficients)
            value = -(weight * np.log(np.maximum(p[rows, y], 1e-300))).sum() + 0.5 * (flat**2).sum() / C
            return value, (train.T @ ((p - truth) * weight[:, None]) + coefficients / C).ravel()

        begin = np.zeros(train.shape[1] * len(REGIMES))
        found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        return np.asarray(test @ found.reshape(-1, len(REGIMES)))

    return model


def trees(
    names: Sequence[str] = BEFORE,
    *,
    rounds: int = ROUNDS,
    power: float = 0.25,
    years: float | None = None,
    weighing: Callable[[StepFit], FloatArray] | None = None,
    started: bool = True,
    seeds: int = 1,
    **changed: Any,
) -> Model:
    """Boosted trees from the log shares, which they read too (``started`` false: from nothing)."""
    read = (*names, *LOG_SHARES) if started else tuple(names)

    def model(fit: StepFit) -> FloatArray:
        weight = fit.table.weights(fit.train, power)
        if years is not None:
            time = fit.table.sample.dataset.time[fit.train]
            age = np.asarray((time.max() - time) / pd.Timedelta(days=YEAR))
            weight = weight * 0.5 ** (age / years)
        if weighing is not None:
            weight = weight * weighing(fit)
        kept = np.flatnonzero(weight > 0)
        bars = fit.train[kept]
        X, held = fit.table.columns(bars, read), fit.table.columns(fit.test, read)
        start = fit.table.log_shares(bars) if started else None
        added = np.zeros((len(held), len(REGIMES)))
        for seed in range(seeds):
            settings = {**TREES, "objective": "multiclass", "num_class": len(REGIMES), **changed}
            data = lgb.Dataset(X, fit.table.y(bars), weight=weight[kept], init_score=start)
            booster = lgb.train({**settings, "seed": 7 + seed}, data, rounds)
            added += np.asarray(booster.predict(held, raw_score=True, num_threads=1)) / seeds
        return added

    return model


def heads(*, ordinal: bool = False, monotone: bool = False, rounds: int = ROUNDS) -> Model:
    """Direction first, then the leg inside a falling market: boosted heads, each from its part of the shares.

    ``ordinal``: the direction as two questions on one scale (falling at all? rising at all?) instead of three
    classes. ``monotone``: no head may read a rise as a sign of falling.
    """
    read = (*BEFORE, *LOG_SHARES)
    signs = [1 if name in RISING else 0 for name in read]

    def model(fit: StepFit) -> FloatArray:
        X, held = fit.table.columns(fit.train, read), fit.table.columns(fit.test, read)
        y, weight = fit.table.y(fit.train), fit.table.weights(fit.train, 0.25)
        p, q = softmax(fit.table.log_shares(fit.train)), softmax(fit.table.log_shares(fit.test))

        def odds(share: FloatArray) -> FloatArray:
            share = np.clip(share, 1e-6, 1 - 1e-6)
            return np.asarray(np.log(share / (1 - share)))

        def asked(
            rows: npt.NDArray[np.bool_],
            is_it: npt.NDArray[np.bool_],
            begin: FloatArray,
            then: FloatArray,
            sign: int,
        ) -> FloatArray:
            """Chance of yes on the answered bars."""
            if len(np.unique(is_it[rows])) < 2:
                return np.asarray(1 / (1 + np.exp(-odds(then))))
            constraint = {"monotone_constraints": [sign * one for one in signs]} if monotone else {}
            data = lgb.Dataset(
                X[rows], is_it[rows].astype(float), weight=weight[rows], init_score=odds(begin)[rows]
            )
            booster = lgb.train({**TREES, "objective": "binary", **constraint}, data, rounds)
            found = odds(then) + np.asarray(booster.predict(held, raw_score=True, num_threads=1))
            return np.asarray(1 / (1 + np.exp(-found)))

        everywhere = np.ones(len(y), dtype=bool)
        falls = np.isin(y, (BEAR, RELIEF))
        down, down_then = p[:, BEAR] + p[:, RELIEF], q[:, BEAR] + q[:, RELIEF]
        if ordinal:
            fall = asked(everywhere, falls, down, down_then, -1)
            rise = asked(everywhere, y == BULL, p[:, BULL], q[:, BULL], 1)
            flat = np.clip(1 - fall - rise, 0.01, 1)
            total = fall + rise + flat
            fall, rise, flat = fall / total, rise / total, flat / total
        else:
            fall = asked(everywhere, falls, down, down_then, -1)
            still = p[:, RANGING] / np.maximum(1 - down, 1e-6)
            still_then = q[:, RANGING] / np.maximum(1 - down_then, 1e-6)
            up = asked(~falls, y == BULL, 1 - still, 1 - still_then, 1)
            rise, flat = (1 - fall) * up, (1 - fall) * (1 - up)
        leg = asked(
            falls,
            y == RELIEF,
            p[:, RELIEF] / np.maximum(down, 1e-6),
            q[:, RELIEF] / np.maximum(down_then, 1e-6),
            1,
        )
        answer = np.column_stack((fall * (1 - leg), flat, fall * leg, rise))
        return np.asarray(np.log(np.clip(answer, 1e-6, 1)) - np.log(np.clip(q, 1e-6, 1)))

    return model


def _away_from_turns(fit: StepFit) -> FloatArray:
    """0 within a day of a turn, where the label of one day could as well be the other's."""
    dataset = fit.table.sample.dataset
    per_day = dataset.histories[0].per_day
    change = np.flatnonzero(np.diff(dataset.spell, prepend=dataset.spell[0]) != 0)
    place = np.searchsorted(change, fit.train)
    after = fit.train - change[np.maximum(place - 1, 0)]
    before = change[np.minimum(place, len(change) - 1)] - fit.train
    return np.asarray((np.minimum(np.abs(after), np.abs(before)) >= per_day), dtype=np.float64)


def _twice_a_day(fit: StepFit) -> FloatArray:
    return np.asarray(fit.table.sample.dataset.time[fit.train].hour % 12 == 0, dtype=np.float64)


def _group(name: str) -> tuple[str, ...]:
    from features.catalog import CATALOG  # noqa: PLC0415

    return tuple(feature.name for feature in CATALOG if feature.group == name)


def step_models(shares: Sequence[str]) -> Iterator[tuple[str, bool, Model]]:
    """Name, whether it stands alone, and model of each step."""
    from features.catalog import CATALOG  # noqa: PLC0415

    everything = tuple(feature.name for feature in CATALOG)
    yield "logistic, 30 trend columns, alone", True, logistic(BASE, 0.03)
    yield "logistic, 30 trend columns and log shares, alone", True, logistic((*BASE, *shares), 0.03)
    yield "logistic, log shares, alone", True, logistic(shares, 0.03)
    plain: dict[str, Any] = {"extra_trees": False, "num_leaves": 31}
    yield (
        "LightGBM, features and log shares, alone",
        True,
        trees((*BEFORE, *shares), started=False, rounds=120, **plain),
    )
    for strength in (1e-4, 1e-3, 1e-2):
        yield f"linear, C {strength}", False, linear(BASE, strength)
    yield "trees", False, trees()
    yield "trees, 4 leaves", False, trees(num_leaves=4)
    yield "trees, 15 rounds", False, trees(rounds=15)
    yield "trees, 5 seeds averaged", False, trees(seeds=5, rounds=40)
    yield "heads: falling, rising, leg", False, heads()
    yield "heads, ordinal", False, heads(ordinal=True)
    yield "heads, monotone", False, heads(monotone=True)
    yield "trees, every bar the same weight", False, trees(power=0.0)
    yield "trees, spell power 0.5", False, trees(power=0.5)
    yield "trees, recency with half-life 1 year", False, trees(years=1.0)
    yield "trees, no row within a day of a turn", False, trees(weighing=_away_from_turns)
    yield "trees, rows every 12 hours", False, trees(weighing=_twice_a_day)
    yield "trees, cross market too", False, trees((*BEFORE, *_group("cross_market")))
    yield "trees, positioning too", False, trees((*BEFORE, *_group("positioning")))
    yield (
        "trees, funding and open interest alone",
        False,
        trees((*_group("funding"), *_group("open_interest"))),
    )
    yield "trees, volatility alone", False, trees(_group("volatility"))
    yield "trees, rank in the symbol's own year", False, trees(tuple(f"rank:{name}" for name in BASE))
    yield "trees, symbols as columns", False, trees((*BEFORE, *(f"symbol:{index}" for index in range(5))))
    yield "trees, gradient one-side sampling", False, trees(data_sample_strategy="goss", bagging_freq=0)
    yield "trees, dropped out (dart)", False, trees(boosting="dart")
    yield "trees, whole catalogue", False, trees(tuple(name for name in everything if name not in shares))
