"""The report on features as tables, and as JSON for programs."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from training.bootstrap import Interval
from training.feature_study.ablation import Ablated, Ablation, Difference
from training.feature_study.feature_findings import FeatureReport

__all__ = ["ablation_table", "report_json", "report_tables"]


def report_tables(report: FeatureReport) -> dict[str, pd.DataFrame]:
    """All tables by name: ``features, coverage, drift, stability, correlation, clusters, ablation, gain``."""
    tables = {
        "features": _features(report),
        "coverage": report.coverage.reset_index(),
        "drift": report.drift,
        "stability": report.stability,
        "correlation": report.relations.rho.rename_axis("feature").reset_index(),
        "clusters": pd.DataFrame(
            [
                (number, name, one.smallest)
                for number, one in enumerate(report.relations.clusters, start=1)
                for name in one.features
            ],
            columns=["cluster", "feature", "smallest_correlation"],
        ),
    }
    if report.ablation is not None:
        tables["ablation"] = ablation_table(report.ablation)
        tables["gain"] = pd.DataFrame(
            {one.variant.name: one.gain for one in report.ablation.models},
            index=pd.Index(report.sample.names, name="feature"),
        ).reset_index()
    return tables


def ablation_table(ablation: Ablation) -> pd.DataFrame:
    """A row for each model: its scores, and its difference from the one that it is compared with."""
    differences = {one.variant: one for one in ablation.differences}
    return pd.DataFrame([_model(one, differences.get(one.variant.name)) for one in ablation.models])


def report_json(report: FeatureReport) -> dict[str, Any]:
    """JSON-ready form; what is unknown is null."""
    dataset = report.sample.dataset
    content: dict[str, Any] = {
        "symbols": list(dataset.symbols),
        "interval": dataset.histories[0].interval,
        "source": dataset.histories[0].source,
        "first_bar": dataset.time.min().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "last_bar": dataset.time.max().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rows": len(report.sample.rows),
        "default": list(report.default),
        "features": _records(_features(report)),
        "coverage": _records(report.coverage.reset_index()),
        "drift": _records(report.drift),
        "stability": _records(report.stability),
        "clusters": [asdict(one) for one in report.relations.clusters],
        "run_id": report.run_id,
        "ablation": None,
    }
    if report.ablation is not None:
        one = report.ablation
        content["ablation"] = {
            "folds": list(one.folds),
            "skipped_folds": list(one.skipped_folds),
            "rows": one.rows,
            "spells": one.spells,
            "calendar_blocks": one.calendar_blocks,
            "seeds": one.seeds,
            "draws": one.draws,
            "seed_noise": one.seed_noise,
            "models": _records(ablation_table(one)),
            "gain": {model.variant.name: model.gain for model in one.models},
        }
    return {key: _finite(value) for key, value in content.items()}


def _features(report: FeatureReport) -> pd.DataFrame:
    """One row for each feature: what a reader asks first."""
    worst = report.drift.groupby("feature", sort=False)["psi"].max()
    flips = report.stability.groupby("feature", sort=False)["flips"].sum()
    rows = []
    for feature in report.sample.features:
        name = feature.name
        nearest, rho = report.relations.nearest(name)
        rows.append(
            {
                "feature": name,
                "group": feature.group,
                "in_default": name in report.default,
                "coverage": report.coverage.loc[name, "all"],
                "lowest_coverage": report.coverage.loc[name].drop("all").min(),
                "largest_psi": worst[name],
                "sign_flips": int(flips[name]),
                "nearest": nearest,
                "nearest_correlation": rho,
            }
        )
    return pd.DataFrame(rows)


def _model(one: Ablated, difference: Difference | None) -> dict[str, Any]:
    variant = one.variant
    row: dict[str, Any] = {
        "model": variant.name,
        "kind": variant.kind,
        "group": variant.group,
        "features": len(variant.features),
        "log_loss": one.scores["log_loss"],
        "macro_f1": one.scores["macro_f1"],
        "ece": one.scores["ece"],
        "against": variant.against,
    }
    if difference is not None:
        row |= {"difference": difference.spells.estimate, "verdict": difference.verdict}
        row |= _bounds("spells", difference.spells) | _bounds("calendar", difference.calendar)
        row |= {f"fold_{name}": value for name, value in difference.folds.items()}
        row |= {f"symbol_{name}": value for name, value in difference.symbols.items()}
    return row


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_low": interval.low, f"{name}_high": interval.high}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _finite(value: Any) -> Any:
    """Numbers as JSON has them: NaN becomes null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if value is None or (isinstance(value, float) and not math.isfinite(value)) or value is pd.NA:
        return None
    return value.item() if hasattr(value, "item") else value
