"""The report on features as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

import math
import uuid
from collections.abc import Hashable, Mapping
from contextlib import suppress
from math import nan
from pathlib import Path
from typing import Any

import jinja2

from features.declaration import GROUPS, Feature
from features.regimes import REGIMES
from training.feature_study.ablation import Ablation
from training.feature_study.feature_drift import FEW_ROWS
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_pictures import (
    FULL_BAR,
    SHADES,
    bars_path,
    correlation_map,
    forest_of,
    level,
)
from training.feature_study.feature_relations import NOISE, SAME

__all__ = ["render_page", "write_page"]

PSI_LIMITS = (0.1, 0.25, 1.0)
SHIFT_LIMITS = (0.25, 0.5, 1.0)

_QUESTIONS = (
    (("without",), "The default model without a group", "Above zero: the group is needed."),
    (("added",), "The default model with the rest of a group", "Below zero: the group adds something."),
    (("everything",), "The default model with the whole catalogue", "Below zero: more is better."),
    (("base",), "The base: only what the linear model reads", "Above zero: the default set beats it."),
    (("alone",), "The base with a whole group", "Below zero: the group says what the base cannot."),
    (
        ("reseeded",),
        "The default model with another seed",
        "What a difference that means nothing looks like.",
    ),
)


def write_page(path: Path, report: FeatureReport) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = render_page(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    finally:
        with suppress(OSError):
            staging.unlink()


def render_page(report: FeatureReport) -> str:
    """The page as text; every text of the data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": _signed, "percent": _percent, "two": _two}
    dataset = report.sample.dataset
    years = sorted(report.drift["year"].unique().tolist())
    return environment.get_template("features.html").render(
        report=report,
        dataset=dataset,
        span=(f"{dataset.time.min():%Y-%m-%d}", f"{dataset.time.max():%Y-%m-%d}"),
        interval=dataset.histories[0].interval,
        source=dataset.histories[0].source,
        years=years,
        regimes=REGIMES,
        groups=_groups(report, years),
        tables=[] if report.ablation is None else _comparisons(report.ablation),
        map=correlation_map(report.relations, report.sample.features),
        shades=SHADES,
        limits={
            "few": FEW_ROWS,
            "noise": NOISE,
            "bar": FULL_BAR,
            "same": SAME,
            "psi": PSI_LIMITS,
            "shift": SHIFT_LIMITS,
        },
    )


def _comparisons(ablation: Ablation) -> list[dict[str, Any]]:
    """A table of models for each question."""
    tables = []
    for kinds, title, words in _QUESTIONS:
        pairs = ablation.of_kind(*kinds)
        if pairs:
            forest = forest_of(one for _, one in pairs)
            rows = [
                {
                    "model": model,
                    "difference": one,
                    "loss": model.scores["log_loss"],
                    "better": sum(value < 0 for value in one.folds.values()),
                    "better_symbols": sum(value < 0 for value in one.symbols.values()),
                }
                for model, one in pairs
            ]
            tables.append({"title": title, "words": words, "forest": forest, "rows": rows})
    return tables


def _groups(report: FeatureReport, years: list[int]) -> list[dict[str, Any]]:
    """What the template shows of each group's features."""
    by_year = {(row["feature"], row["year"]): row for row in report.drift.to_dict("records")}
    by_regime = {(row["feature"], row["regime"]): row for row in report.stability.to_dict("records")}
    shares = {row["feature"]: row for row in report.coverage.reset_index().to_dict("records")}
    rows: dict[str, list[dict[str, Any]]] = {}
    for feature in report.sample.features:
        name = feature.name
        by_symbol = {symbol: float(shares[name][symbol]) for symbol in report.sample.dataset.symbols}
        rows.setdefault(feature.group, []).append(
            {
                "feature": feature,
                "in_default": name in report.default,
                "coverage": float(shares[name]["all"]),
                "by_symbol": by_symbol,
                "years": [_year(by_year[name, year]) for year in years],
                "regimes": [_regime(by_regime[name, regime], regime) for regime in REGIMES],
                "nearest": report.relations.nearest(name),
                "gain": _gain(report, feature),
            }
        )
    return [{"name": name, "about": GROUPS.get(name, ""), "rows": found} for name, found in rows.items()]


def _year(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    year, mean, psi = row["year"], float(row["mean"]), float(row["psi"])
    shift = level(mean, SHIFT_LIMITS)
    share = _percent(float(row["coverage"]))
    spread = _two(float(row["sd"]))
    return {
        "psi": level(psi, PSI_LIMITS),
        "shift": f"{'m' if mean < 0 else 'p'}{shift}" if shift > 0 else f"z{shift}",
        "psi_words": f"{year}: PSI {_two(psi)}, {share} there",
        "shift_words": f"{year}: mean {_signed(mean, 2)} sd, spread {spread} of the whole's",
    }


def _regime(row: Mapping[Hashable, Any], regime: str) -> dict[str, Any]:
    whole = float(row["whole"])
    years = {str(key): float(value) for key, value in row.items() if str(key).isdigit()}
    turned = [min(abs(one), abs(whole)) >= NOISE and one * whole < 0 for one in years.values()]
    shown = ", ".join(f"{year}: {_signed(value, 2)}" for year, value in years.items())
    return {
        "same": bars_path([nan if turn else one for one, turn in zip(years.values(), turned, strict=True)]),
        "turned": bars_path([one if turn else nan for one, turn in zip(years.values(), turned, strict=True)]),
        "width": 6 * max(len(years), 1),
        "words": f"{regime}: {_signed(whole, 2)} in all; {shown}",
    }


def _gain(report: FeatureReport, feature: Feature) -> float:
    """Share of the gain in the largest model that was fitted; NaN where the feature is in none."""
    if report.ablation is None:
        return math.nan
    largest = max(report.ablation.models, key=lambda one: len(one.variant.features))
    return largest.gain.get(feature.name, math.nan)


def _signed(value: float, digits: int = 4) -> str:
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def _two(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _percent(share: float) -> str:
    """A share in percent, rounded down: 100 % means that nothing is missing."""
    if math.isnan(share):
        return "-"
    return "100 %" if share >= 1 else f"{math.floor(share * 1000) / 10:g} %"
