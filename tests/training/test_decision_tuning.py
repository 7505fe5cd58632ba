"""Half-life and margin: the calmest setting whose macro F1 is near the best."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sklearn.metrics import f1_score

from serving.decision import DecisionParameters, decide
from training.dataset import Dataset
from training.decision_tuning import ALLOWED_LOSS, HALF_LIVES_DAYS, MARGINS, tune_decision
from training.walk_forward import Walk

K = 12


def labelled(dataset: Dataset, walk: Walk) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.flatnonzero((walk.fold >= 0) & (dataset.y >= 0) & dataset.present)


def judged(dataset: Dataset, walk: Walk, parameters: DecisionParameters) -> tuple[float, int]:
    """Macro F1 and switches over unbroken runs of bars of one symbol, by loops."""
    rows = labelled(dataset, walk).tolist()
    runs, run = [], [rows[0]]
    for before, row in pairwise(rows):
        if row != before + 1 or dataset.symbol[row] != dataset.symbol[before]:
            runs.append(run)
            run = []
        run.append(row)
    runs.append(run)
    truth, answers, switches = [], [], 0
    for run in runs:
        if len(run) <= K:
            continue
        found = decide(walk.probabilities[run], dataset.present[run], parameters).regime.tolist()
        switches += sum(a != b for a, b in pairwise(found))
        answers += found
        truth += dataset.y[run][K:].tolist()
    return float(f1_score(truth, answers, average="macro", labels=range(4), zero_division=0.0)), switches


def test_of_all_settings_near_the_best_the_one_that_switches_least(dataset: Dataset, walk: Walk) -> None:
    rows = labelled(dataset, walk)
    chosen = tune_decision(walk.probabilities[rows], dataset, rows, smoothing_bars=K)
    tried = {}
    for half_life in HALF_LIVES_DAYS:
        for margin in MARGINS:
            one = DecisionParameters(smoothing_bars=K, half_life_bars=half_life * 6, margin=margin)
            tried[one] = judged(dataset, walk, one)
    best = max(score for score, _ in tried.values())
    near = {one: switches for one, (score, switches) in tried.items() if score >= best - ALLOWED_LOSS}
    assert near[chosen] == min(near.values())
    assert near[chosen] < max(switches for _, switches in tried.values())


def test_nothing_to_tune_on_gives_the_documented_default(dataset: Dataset) -> None:
    none = np.zeros(0, dtype=np.intp)
    found = tune_decision(np.zeros((0, 4)), dataset, none, smoothing_bars=K)
    assert (found.half_life_bars, found.margin, found.smoothing_bars) == (3.0, 0.1, K)
