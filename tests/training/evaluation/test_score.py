"""A model's whole score: rows, parts, intervals, blocks; and answers that are none."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scored_samples import noisy_answers

from features.errors import DataError
from training.bootstrap import BlockBootstrap
from training.dataset import Dataset
from training.evaluation import (
    Answers,
    leading_symbol,
    market_blocks,
    score,
    scored_rows,
    scores,
    skill,
    spell_bootstrap,
    switches_per_year,
)
from training.evaluation.intervals import HEADLINES, headline_sums


@pytest.fixture(scope="module")
def answers(dataset: Dataset) -> Answers:
    return noisy_answers(dataset)


def test_every_headline_is_the_plain_score_with_an_interval_around_it(
    dataset: Dataset, answers: Answers
) -> None:
    found = score(dataset, answers)
    rows = scored_rows(dataset, answers)
    plain = scores(answers.probabilities[rows], dataset.y[rows], answers.regime[rows])
    assert found.values == plain
    assert set(HEADLINES) == set(found.intervals) == set(found.market_intervals) <= set(plain)
    for name, interval in found.intervals.items():
        assert interval.estimate == pytest.approx(plain[name], abs=1e-12), name
        assert interval.low <= interval.high
        assert interval.blocks == found.spells == len(np.unique(dataset.spell[rows]))
        assert found.market_intervals[name].estimate == pytest.approx(plain[name], abs=1e-12)
    assert found.market_intervals["log_loss"].blocks == found.market_spells < found.spells
    assert found.intervals["log_loss"].low < plain["log_loss"] < found.intervals["log_loss"].high


def test_a_drawn_score_is_the_score_of_the_rows_drawn(dataset: Dataset, answers: Answers) -> None:
    """Each headline of a draw, by drawing rows and scoring them plainly."""
    rows = scored_rows(dataset, answers)
    p, y, regime = answers.probabilities[rows], dataset.y[rows], answers.regime[rows]
    block = dataset.spell[rows]
    kinds = np.unique(block)
    drawn = np.random.default_rng(5).choice(kinds, len(kinds))
    taken = np.concatenate([np.flatnonzero(block == kind) for kind in drawn])
    plain = scores(p[taken], y[taken], regime[taken])
    sums = headline_sums(p, y, regime)[taken].sum(axis=0, keepdims=True)
    for name, headline in HEADLINES.items():
        assert float(headline(sums)[0]) == pytest.approx(plain[name], abs=1e-12), name


def test_parts_add_up(dataset: Dataset, answers: Answers) -> None:
    found = score(dataset, answers)
    for parts in (found.by_symbol, found.by_fold, found.by_year):
        assert sum(part["rows"] for part in parts.values()) == found.values["rows"]
        total = sum(part["rows"] * part["log_loss"] for part in parts.values())
        mean = total / found.values["rows"]
        assert mean == pytest.approx(found.values["log_loss"])
    assert set(found.by_symbol) == set(dataset.symbols)
    assert sum(part["spells"] for part in found.by_symbol.values()) == found.spells
    assert all(name[4:] in {"-01", "-07"} for name in found.by_fold)
    rows = scored_rows(dataset, answers)
    first = min(found.by_fold)
    mine = rows[np.asarray(dataset.time[rows].year == int(first[:4]))]
    mine = mine[np.asarray((dataset.time[mine].month <= 6) == first.endswith("-01"))]
    assert found.by_fold[first]["rows"] == len(mine)


def test_turns_are_of_every_answered_bar_and_not_of_the_scored_ones(
    dataset: Dataset, answers: Answers
) -> None:
    there = answers.answered & dataset.present
    plain = switches_per_year(answers.regime[there], dataset.symbol[there], dataset.time[there])
    assert score(dataset, answers).turns.switches_per_year == plain


def test_what_is_answered_at_a_missing_bar_is_not_looked_at(dataset: Dataset, answers: Answers) -> None:
    gone = np.flatnonzero(answers.answered & ~dataset.present)
    assert len(gone)
    regime = answers.regime.copy()
    regime[gone] = (regime[gone] + 1) % 4
    odd = score(dataset, Answers("model", answers.probabilities, regime))
    assert repr(odd) == repr(score(dataset, answers))


def test_a_class_that_never_came_is_no_part_of_balanced_accuracy() -> None:
    p = np.array([[0.7, 0.3, 0, 0], [0.2, 0.8, 0, 0], [0.9, 0.1, 0, 0]])
    y, regime = np.array([0, 1, 1]), np.array([0, 1, 0])
    sums = headline_sums(p, y, regime).sum(axis=0, keepdims=True)
    assert float(HEADLINES["balanced_accuracy"](sums)[0]) == scores(p, y)["balanced_accuracy"] == 0.75
    assert np.isnan(HEADLINES["recall_bull"](sums)[0])


def test_metrics_are_finite_and_flat_and_the_whole_is_plain_data(dataset: Dataset, answers: Answers) -> None:
    never = np.where(answers.regime == 2, 0, answers.regime)  # relief is never answered: no precision
    found = score(dataset, replace(answers, regime=never))
    assert np.isnan(found.values["precision_relief_rally"])
    flat = found.metrics()
    assert "precision_relief_rally" not in flat
    assert all(np.isfinite(value) for value in flat.values())
    assert {
        "log_loss_low",
        "log_loss_market_high",
        "spells",
        "missed_turns",
        "false_switches_per_year",
    } <= set(flat)
    json.dumps(asdict(found))


def test_the_same_draws_for_all_models_and_the_same_score_twice(dataset: Dataset, answers: Answers) -> None:
    bootstrap = spell_bootstrap(dataset, answers)
    assert repr(score(dataset, answers, bootstrap)) == repr(score(dataset, answers))
    few = spell_bootstrap(dataset, answers, draws=50, seed=1)
    assert score(dataset, answers, few).intervals != score(dataset, answers).intervals
    with pytest.raises(DataError, match="expected"):
        score(dataset, answers, BlockBootstrap(np.arange(7)))


def test_market_blocks_are_the_spells_of_the_leader(dataset: Dataset) -> None:
    assert dataset.symbols[leading_symbol(dataset)] == "SIMBTC"
    blocks = market_blocks(dataset)
    own = np.flatnonzero((dataset.symbol == leading_symbol(dataset)) & (dataset.y >= 0))
    # One block, one spell, for the leader itself.
    pairs = set(zip(dataset.spell[own].tolist(), blocks[own].tolist(), strict=True))
    assert len(pairs) == len({spell for spell, _ in pairs}) == len({block for _, block in pairs})
    # The same hour is in the same block, whoever's bar it is.
    other = np.flatnonzero(dataset.symbol != leading_symbol(dataset))
    by_time = dict(zip(dataset.time[own], blocks[own], strict=True))
    shared = [row for row in other.tolist() if dataset.time[row] in by_time]
    assert len(shared) > 100
    assert all(blocks[row] == by_time[dataset.time[row]] for row in shared)


def test_without_bitcoin_the_longest_history_leads(dataset: Dataset) -> None:
    others = tuple(replace(history, symbol=f"X{history.symbol}") for history in dataset.histories)
    renamed = replace(dataset, histories=others)
    labelled = np.bincount(dataset.symbol[dataset.y >= 0])
    assert leading_symbol(renamed) == labelled.argmax()
    unlabelled = replace(dataset, y=np.where(dataset.symbol == 0, -1, dataset.y).astype(np.int8))
    assert dataset.symbols[0] == "SIMBTC"
    assert leading_symbol(unlabelled) == 1


def test_answers_that_are_none_are_refused(dataset: Dataset, answers: Answers) -> None:
    p, regime = answers.probabilities, answers.regime
    with pytest.raises(DataError, match=r"expected \(n_bars,\) and \(n_bars, 4\)"):
        Answers("x", p[:, :3], regime)
    with pytest.raises(DataError, match="a regime outside -1 to 3"):
        Answers("x", p, np.where(regime == 3, 4, regime))
    row = int(np.flatnonzero(answers.answered)[5])
    for wrong in (np.full(4, np.nan), np.array([0.5, 0.5, 0.5, -0.5]), np.full(4, 0.3)):
        broken = p.copy()
        broken[row] = wrong
        with pytest.raises(DataError, match=f"bar {row} is answered with"):
            Answers("x", broken, regime)
    with pytest.raises(DataError, match="none on a labelled bar"):
        score(dataset, Answers("x", p, np.full_like(regime, -1)))
    with pytest.raises(DataError, match="the dataset has"):
        score(dataset, Answers("x", p[:10], regime[:10]))


def test_skill() -> None:
    perfect, none = {"log_loss": 0.0, "brier": 0.0}, {"log_loss": 1.2, "brier": 0.8}
    assert skill(perfect, none) == {"log_loss_skill": 1.0, "brier_skill": 1.0}
    assert skill(none, none) == {"log_loss_skill": 0.0, "brier_skill": 0.0}
    assert np.isnan(skill(none, perfect)["brier_skill"])
