"""Half-life and margins: the best macro F1 among the settings that are calm enough."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import f1_score

from serving.decision import COSTS, DecisionParameters, decide
from training import decision_tuning
from training.dataset import Dataset
from training.decision_tuning import (
    DEFAULT,
    HALF_LIVES_DAYS,
    MARGINS,
    RALLY_MARGINS,
    SWITCHES_ALLOWED,
    tried_settings,
    tune_decision,
)
from training.walk_forward import Walk

K = 24


def labelled(dataset: Dataset, walk: Walk) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.flatnonzero((walk.fold >= 0) & (dataset.y >= 0) & dataset.present)


def judged(dataset: Dataset, walk: Walk, parameters: DecisionParameters) -> tuple[float, int, int]:
    """Macro F1, switches and turns over unbroken runs of bars of one symbol, by loops."""
    rows = labelled(dataset, walk).tolist()
    runs, run = [], [rows[0]]
    for before, row in pairwise(rows):
        if row != before + 1 or dataset.symbol[row] != dataset.symbol[before]:
            runs.append(run)
            run = []
        run.append(row)
    runs.append(run)
    truth, answers, switches, turns = [], [], 0, 0
    for run in runs:
        if len(run) <= K:
            continue
        found = decide(walk.probabilities[run], dataset.present[run], parameters).regime.tolist()
        switches += sum(a != b for a, b in pairwise(found))
        turns += sum(a != b for a, b in pairwise(dataset.y[run][K:].tolist()))
        answers += found
        truth += dataset.y[run][K:].tolist()
    score = f1_score(truth, answers, average="macro", labels=range(4), zero_division=0.0)
    return float(score), switches, turns


def test_every_setting_is_judged_by_what_would_be_served(dataset: Dataset, walk: Walk) -> None:
    rows = labelled(dataset, walk)
    tried = list(tried_settings(walk.probabilities[rows], dataset, rows, smoothing_bars=K))
    grid = [
        (half_life * 6, margin, rally)
        for half_life in HALF_LIVES_DAYS
        for margin in MARGINS
        for rally in RALLY_MARGINS
        if rally <= margin
    ]
    found = [
        (one.parameters.half_life_bars, one.parameters.margin, one.parameters.rally_margin) for one in tried
    ]
    assert np.array(found) == pytest.approx(np.array(grid))
    for one in tried[::9]:
        score, switches, turns = judged(dataset, walk, one.parameters)
        assert (one.switches, one.turns) == (switches, turns)
        assert one.macro_f1 == pytest.approx(score)


def test_the_best_of_those_that_are_calm_enough_is_chosen(
    dataset: Dataset, walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_tuning, "MIN_TURNS", 1)
    rows = labelled(dataset, walk)
    tried = list(tried_settings(walk.probabilities[rows], dataset, rows, smoothing_bars=K))
    least = min(one.switches for one in tried)
    most = max(one.switches for one in tried)
    assert least < most
    for allowed in ((least + most) / 2 / tried[0].turns, SWITCHES_ALLOWED, 1e9):
        monkeypatch.setattr(decision_tuning, "SWITCHES_ALLOWED", allowed)
        chosen = tune_decision(walk.probabilities[rows], dataset, rows, smoothing_bars=K)
        calm = [one for one in tried if one.switches <= allowed * one.turns]
        if not calm:
            continue
        best = max(calm, key=lambda one: one.macro_f1).parameters
        assert chosen == best.model_copy(update={"switches_allowed": allowed})
    monkeypatch.setattr(decision_tuning, "SWITCHES_ALLOWED", 1e-6)
    calmest = tune_decision(walk.probabilities[rows], dataset, rows, smoothing_bars=K)
    assert judged(dataset, walk, calmest)[1] == least


def test_too_few_turns_to_tune_on_give_the_documented_default(dataset: Dataset, walk: Walk) -> None:
    none = np.zeros(0, dtype=np.intp)
    few = labelled(dataset, walk)[: K + 5]
    for rows in (none, few):
        found = tune_decision(walk.probabilities[rows], dataset, rows, smoothing_bars=K)
        assert (found.half_life_bars / 6, found.margin, found.rally_margin) == pytest.approx(DEFAULT)
        assert (found.smoothing_bars, found.costs) == (K, COSTS)
        assert found.switches_allowed == SWITCHES_ALLOWED
