"""What learning adds to the log shares of the labels' own futures: all steps tried, on the same folds.

The log shares (``path_log_share_*``) answer by themselves: log odds with coefficient 1. A step is a model of
what they miss, fitted with the log shares as its start; it is judged twice: added in full, and added with
the strength (and divided by the temperature) that purged cross-validation inside the fold's training rows
gives it. Differences are to the log shares with a temperature alone, paired, by spell and by two months of
all symbols. The first rows are models without that start. About a minute a step on two quiet cores.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from benchmarks.results import MARKET
from benchmarks.step_models import LOG_SHARES, StepFit, StepTable, step_models
from features.bars import FloatArray
from features.catalog import CATALOG
from features.default_set import default_features
from features.history import History
from features.json_file import check_target, write_json
from features.regimes import REGIMES
from features.sources import load_files
from training.bootstrap import BlockBootstrap
from training.evaluation import scores
from training.feature_study.ablation_fit import FoldRows, fold_rows
from training.feature_study.feature_sample import sample_features
from training.models.boosted_logistic import softmax
from training.pipeline import default_recipe

STRENGTH_SD, TEMPERATURE_SD = 0.3, 0.2
"""Priors: of the strength around 0, of the log temperature around 0."""
TWO_MONTHS = 61


@dataclass(frozen=True)
class Judged:
    """Loss of each scored row, and the scores, of one step."""

    loss: FloatArray
    scores: dict[str, float]
    strength: tuple[float, ...] = ()


def calibrated(
    start: FloatArray, added: FloatArray, y: npt.NDArray[np.int8], spells: int
) -> tuple[float, float]:
    """Temperature and strength that fit held rows best, drawn towards 1 and 0 by how few spells there are."""
    rows = np.arange(len(y))

    def loss(values: FloatArray) -> float:
        log_temperature, strength = values
        p = softmax((start + strength * added) / np.exp(log_temperature))
        likelihood = float(-np.log(np.clip(p[rows, y], 1e-15, 1.0)).mean())
        prior = (log_temperature / TEMPERATURE_SD) ** 2 + (strength / STRENGTH_SD) ** 2
        return float(spells * likelihood + 0.5 * prior)

    if not len(y):
        return 1.0, 0.0
    if not added.any():
        found = minimize(lambda v: loss(np.array([v[0], 0.0])), (0.0,), method="Nelder-Mead").x
        return float(np.exp(found[0])), 0.0
    found = minimize(loss, (0.0, 0.3), method="Nelder-Mead").x
    return float(np.exp(found[0])), float(found[1])


class Study:
    """The folds of the real history and the answers of steps to them."""

    def __init__(self, folds: Sequence[FoldRows], table: StepTable) -> None:
        self.folds = tuple(folds)
        self.table = table
        self._fits = [fit for one in folds for fit in one.fits]
        bars = np.concatenate([one.test for one in folds])
        dataset = table.sample.dataset
        self.y = dataset.y[bars]
        self.spells = BlockBootstrap(dataset.spell[bars])
        days = (dataset.time[bars] - dataset.time[bars].min()).days
        self.calendar = BlockBootstrap(np.asarray(days) // TWO_MONTHS)
        self.symbol = dataset.symbol[bars]
        self.fold = np.concatenate([np.full(len(one.test), place) for place, one in enumerate(folds)])

    def answers(
        self, model: Callable[[StepFit], FloatArray]
    ) -> Iterator[tuple[FoldRows, FloatArray, list[FloatArray]]]:
        """What a model adds to each fold's scored bars, and to its inner blocks."""
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = iter(pool.map(lambda fit: model(StepFit(self.table, *fit)), self._fits))
            for one in self.folds:
                yield one, next(found), [next(found) for _ in one.inner]

    def judge(self, model: Callable[[StepFit], FloatArray], *, alone: bool) -> tuple[Judged, Judged]:
        """The step added in full, and with the strength of its own cross-validation.

        ``alone``: the model does not start from the log shares.
        """
        full, shrunk, strengths = [], [], []
        for one, test, inner in self.answers(model):
            held = np.concatenate([rows for _, rows in one.inner])
            y, spells = self.table.y(held), len(np.unique(self.table.sample.dataset.spell[held]))
            added = np.concatenate(inner)
            start, here = (
                (np.zeros_like(added), np.zeros_like(test)) if alone else self._starts(held, one.test)
            )
            if alone:
                temperature, strength = calibrated(added, np.zeros_like(added), y, spells)[0], 1.0
            else:
                temperature, strength = calibrated(start, added, y, spells)
            full.append(softmax((here + test) / (temperature if alone else 1.0)))
            shrunk.append(softmax((here + strength * test) / temperature))
            strengths.append(strength)
        return self._judged(full), replace(self._judged(shrunk), strength=tuple(strengths))

    def _starts(
        self, held: npt.NDArray[np.intp], test: npt.NDArray[np.intp]
    ) -> tuple[FloatArray, FloatArray]:
        return self.table.log_shares(held), self.table.log_shares(test)

    def _judged(self, parts: list[FloatArray]) -> Judged:
        p = np.concatenate(parts)
        loss = -np.log(np.clip(p[np.arange(len(p)), self.y], 1e-15, 1.0))
        return Judged(loss, scores(p, self.y))

    def row(self, name: str, one: Judged, against: FloatArray) -> Row:
        """A line of the table."""
        gap = one.loss - against
        spells, calendar = self.spells.mean(gap), self.calendar.mean(gap)
        folds, symbols = enumerate(self.folds), enumerate(self.table.sample.dataset.symbols)
        return Row(
            step=name,
            log_loss=one.scores["log_loss"],
            macro_f1=one.scores["macro_f1"],
            f1_relief_rally=one.scores["f1_relief_rally"],
            ece=one.scores["ece"],
            difference=spells.estimate,
            spells=(spells.low, spells.high),
            two_months=(calendar.low, calendar.high),
            by_fold={fold.fold.name: float(gap[self.fold == place].mean()) for place, fold in folds},
            by_symbol={symbol: float(gap[self.symbol == place].mean()) for place, symbol in symbols},
            strength=one.strength,
        )


@dataclass(frozen=True)
class Row:
    """A line of the table; intervals are of the difference, by spell and by two months of all symbols."""

    step: str
    log_loss: float
    macro_f1: float
    f1_relief_rally: float
    ece: float
    difference: float
    spells: tuple[float, float]
    two_months: tuple[float, float]
    by_fold: dict[str, float]
    by_symbol: dict[str, float]
    strength: tuple[float, ...]

    def __str__(self) -> str:
        """The line, for people."""
        parts = [
            f"{self.step:58s} {self.log_loss:.4f}  F1 {self.macro_f1:.3f}",
            f"relief {self.f1_relief_rally:.3f}  ECE {self.ece:.3f}",
            f"{self.difference:+.4f} [{self.spells[0]:+.4f}, {self.spells[1]:+.4f}]",
            f"[{self.two_months[0]:+.4f}, {self.two_months[1]:+.4f}]",
            "by fold " + " ".join(f"{value:+.3f}" for value in self.by_fold.values()),
            "by symbol " + " ".join(f"{value:+.3f}" for value in self.by_symbol.values()),
        ]
        if self.strength:
            parts.append("strength " + " ".join(f"{value:.2f}" for value in self.strength))
        return "  ".join(parts)


def main() -> None:
    """Measure every step, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="steps whose name holds this")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    check_target(arguments.json, "json")
    if not MARKET.is_dir():
        print(f"skipped: {MARKET.name} with real history is not there")
        return
    histories = [History.from_raw(raw) for raw in load_files(MARKET, [])]
    sample = sample_features(histories, CATALOG)
    recipe = default_recipe(default_features())
    study = Study(fold_rows(sample, recipe), StepTable(sample, recipe))
    print(f"{len(study.y):,} rows, {study.spells.blocks} spells; against the log shares with a temperature")
    zero = np.zeros(len(REGIMES))
    raw, tempered = study.judge(lambda fit: np.tile(zero, (len(fit.test), 1)), alone=False)
    rows = [study.row("log shares as they are", raw, tempered.loss)]
    rows.append(study.row("log shares with a temperature", tempered, tempered.loss))
    print(*rows, sep="\n", flush=True)
    for name, alone, model in step_models(LOG_SHARES):
        if arguments.only and arguments.only not in name:
            continue
        started = time.monotonic()
        full, shrunk = study.judge(model, alone=alone)
        found = [study.row(name, full, tempered.loss)]
        if not alone:
            found.append(study.row(f"{name}, strength by cross-validation", shrunk, tempered.loss))
        rows += found
        print(*found, f"({time.monotonic() - started:.0f} s)", sep="\n", flush=True)
        if arguments.json is not None:
            write_json(arguments.json, [asdict(one) for one in rows])


if __name__ == "__main__":
    main()
