"""What the limits of ``bearmode health`` rest on, measured on the walk-forward answers of real history.

Needs a champion that was trained on the five symbols, with its walk-forward models. Says how well the
expected log loss foretold the realised one, whether an unusual row is answered worse, how often
planted defects of the data are noticed, how far the features of each half-year had moved, and what the
prediction sets held in the worst 90 days.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.results import MARKET, options, report
from features.bars import FloatArray
from features.history import History
from features.sources import load_files
from serving.drift import bin_counts, bin_edges, bin_of, population_stability
from serving.predictor import Predictor
from training.health.market_now import FULL_WINDOW
from training.health.performance import by_month, entropy
from training.health.recent_answers import (
    Answering,
    RecentAnswers,
    answering_models,
    recent_answers,
    sampled_bars,
)
from training.promotion import load_champion, walk_forward_folder
from training.settings import Places

SINCE, UNTIL = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")
BROKEN_SINCE = pd.Timestamp("2024-09-01", tz="UTC")
EDGES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.995, 1.01)
PRICES = ["open", "high", "low", "close"]


def losses(answers: RecentAnswers) -> FloatArray:
    """Log loss of each row."""
    given = answers.probabilities[np.arange(len(answers)), answers.y]
    return np.asarray(-np.log(np.clip(given, 1e-15, 1.0)))


def estimate(answers: RecentAnswers) -> dict[str, Any]:
    """How well the expected log loss foretold the realised one."""
    months = by_month(answers)
    expected = pd.Series([month.expected_log_loss for month in months])
    realised = pd.Series([month.realised_log_loss for month in months])
    gap = pd.Series([month.gap for month in months])
    so_far = realised.expanding().mean().shift(2)  # a month's labels are confirmed in the next but one
    # How the gap of the months before would have corrected it.
    corrected = {n: gap - gap.shift(2).rolling(n, min_periods=2).mean() for n in (3, 6, 12)}
    known = corrected[3].notna()
    daily = pd.DataFrame({"loss": losses(answers), "expected": entropy(answers.probabilities)})
    daily.index = answers.time
    days = daily.sort_index().resample("1D").mean().rolling(90).mean().dropna()
    rolling = days["loss"] - days["expected"]
    return {
        "months": len(months),
        "correlation of expected and realised": float(expected.corr(realised)),
        "bias (realised less expected)": float(gap.mean()),
        "gap of a month: standard deviation": float(gap.std()),
        "gap of a month: 5 % and 95 %": [round(float(value), 3) for value in gap.quantile([0.05, 0.95])],
        "mean error of the estimate": float(gap.abs().mean()),
        "mean error of the mean so far": float((realised - so_far).abs().mean()),
        "mean error, same months as below": float(gap[known].abs().mean()),
        **{
            f"mean error, corrected by the gaps of {n} months": float(one[known].abs().mean())
            for n, one in corrected.items()
        },
        "gap of 90 days: 5, 50, 95, 100 %": [
            round(float(value), 3) for value in rolling.quantile([0.05, 0.5, 0.95, 1.0])
        ],
    }


def novelty(answers: RecentAnswers) -> dict[str, Any]:
    """Whether an unusual row is answered worse."""
    loss, expected = losses(answers), entropy(answers.probabilities)
    known = np.isfinite(answers.novelty)
    percentile = answers.novelty[known]
    wrong = np.asarray(answers.regime != answers.y)[known]
    worst = loss[known] > np.quantile(loss[known], 0.9)
    found: dict[str, Any] = {
        "AUC of novelty for a wrong answer": float(roc_auc_score(wrong, percentile)),
        "AUC of novelty for the worst tenth of losses": float(roc_auc_score(worst, percentile)),
        "AUC of entropy for a wrong answer": float(roc_auc_score(wrong, expected[known])),
        "rows above 99.5 %": float((percentile > 0.995).mean()),
    }
    for low, high in pairwise(EDGES):
        rows = (percentile >= low) & (percentile < high)
        if rows.any():
            words = f"novelty {low:g} to {min(high, 1.0):g}: rows, log loss, expected"
            found[words] = [
                int(rows.sum()),
                round(float(loss[known][rows].mean()), 3),
                round(float(expected[known][rows].mean()), 3),
            ]
    stamps = pd.Series(answers.novelty > 0.995, index=answers.time).sort_index()
    for days in (7, 30):
        share = stamps.resample(f"{days}D").mean()
        found[f"largest share of unusual rows in {days} days"] = float(share.max())
    return found


def defects(history: History) -> dict[str, History]:
    """The same history as broken feeds would tell it."""
    frame = history.frame
    late = np.asarray(history.time >= BROKEN_SINCE)

    def changed(rows: Any, factor: Any, *columns: str) -> History:
        copy = frame.copy()
        for name in columns:
            copy.loc[rows, name] = copy.loc[rows, name] * factor
        return replace(history, frame=copy)

    every = np.ones(len(frame), dtype=bool)
    frozen = frame.copy()
    frozen.loc[late, PRICES] = float(frame.loc[late, "close"].iloc[0])
    swapped = frame.assign(
        open=1 / frame["open"], high=1 / frame["low"], low=1 / frame["high"], close=1 / frame["close"]
    )
    return {
        "nothing": history,
        "funding as percent": changed(every, 100, "funding_rate"),
        "funding as percent, from September": changed(late, 100, "funding_rate"),
        "funding with the other sign": changed(every, -1, "funding_rate"),
        "open interest in coins, from September": changed(
            late, 1 / frame.loc[late, "close"], "open_interest"
        ),
        "prices over 1000, from September": changed(late, 0.001, *PRICES),
        "prices frozen, from September": replace(history, frame=frozen),
        "prices of the inverse pair": replace(history, frame=swapped),
    }


def noticed(predictor: Predictor, histories: list[History]) -> dict[str, Any]:
    """Share of rows from July to December 2024 that are called unusual, defect by defect."""
    flags: dict[str, list[npt.NDArray[np.bool_]]] = {}
    for history in histories:
        count = int((history.time >= pd.Timestamp("2024-07-01", tz="UTC")).sum())
        for name, broken in defects(history).items():
            decided = predictor.decided(broken, count)
            keep = sampled_bars(decided.time, history.per_day)
            unusual = np.asarray(decided.novelty[keep] > predictor.manifest.drift.novelty.limit)
            flags.setdefault(name, []).append(unusual)
    return {f"unusual where broken: {name}": float(np.concatenate(one).mean()) for name, one in flags.items()}


def drift(models: list[Answering], histories: list[History]) -> dict[str, Any]:
    """How far the windows of each fold's half-year had moved from the fold's training."""
    found: dict[str, Any] = {}
    for model in models:
        if not model.name.startswith("fold"):
            continue
        parameters = model.predictor.manifest.drift
        edges, shares = bin_edges(parameters.novelty.knot_table()), np.array(parameters.shares)
        for window in parameters.windows:
            if not window.limits:
                continue
            limits, length = np.array(window.limits), pd.Timedelta(days=window.days)
            index = []
            for history in histories:
                upto = history.part(0, int((history.time < model.end).sum()))
                decided = model.predictor.decided(upto, int((upto.time >= model.start).sum()))
                keep = decided.answered & sampled_bars(decided.time, history.per_day)
                time, X = decided.time[keep], decided.features[keep]
                start = model.start
                while start + length <= model.end:
                    inside = np.asarray((time >= start) & (time < start + length))
                    if inside.sum() >= FULL_WINDOW * window.days * 4:
                        index.append(population_stability(bin_counts(bin_of(X[inside], edges)), shares))
                    start += length
            table = np.stack(index)
            moved = (table > limits).mean(axis=1)
            found[f"{model.name}, {window.days} days: windows, moved, warned, bad, one feature"] = [
                len(table),
                round(float(moved.mean()), 3),
                round(float((moved > window.usual_share).mean()), 3),
                round(float((moved > max(window.usual_share, window.largest_share)).mean()), 3),
                round(float(((table / limits).max(axis=1) > window.largest_excess).mean()), 3),
            ]
            found[f"{model.name}, {window.days} days: median index, share above 0.25"] = [
                round(float(np.median(table)), 2),
                round(float((table > 0.25).mean()), 3),
            ]
    return found


def coverage(answers: RecentAnswers) -> dict[str, Any]:
    """What the prediction sets held in 90 days."""
    held = pd.Series(answers.sets[np.arange(len(answers)), answers.y], index=answers.time).sort_index()
    days = held.astype(float).resample("1D").mean().rolling(90).mean().dropna()
    return {
        "coverage of the prediction sets": float(held.mean()),
        "coverage of 90 days: 0, 5, 50 %": [round(float(one), 3) for one in days.quantile([0.0, 0.05, 0.5])],
    }


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__ or "")
    if not MARKET.is_dir():
        print(f"skipped: {MARKET} is not there")
        return
    champion = load_champion(Places.load().bundles)
    histories = [
        history.part(0, int((history.time < UNTIL).sum()))
        for history in map(History.from_raw, load_files(Path(MARKET), champion.manifest.symbols))
    ]
    models = answering_models(champion, SINCE, UNTIL)
    answers = recent_answers(histories, models)
    confirmed = answers.part(answers.confirmed)
    last = Predictor.load(walk_forward_folder(champion.bundle.folder) / "2024-07")
    figures = {
        "champion": champion.version,
        "rows": len(confirmed),
        "independent spells": len(np.unique(confirmed.spell)),
        **estimate(confirmed),
        **novelty(confirmed),
        **noticed(last, histories),
        **drift(models, histories),
        **coverage(confirmed),
    }
    report("health limits", figures, chosen.json)


if __name__ == "__main__":
    main()
