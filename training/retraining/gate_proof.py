"""What the gate asks before any score: a proven bundle, and data that are still what they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import BearmodeError
from serving.predictor import Predictor
from training.dataset import Dataset
from training.export import Parity
from training.recipe import Recipe
from training.retraining.gate_checks import at_most
from training.retraining.gate_settings import GateSettings
from training.retraining.verdict import Check

__all__ = ["Proven", "past_checks", "proof_checks", "source_of"]

SAME = 1e-6
"""Relative difference up to which a price is the same one, read from another format."""


@dataclass(frozen=True)
class Proven:
    """A challenger's bundle after its proof.

    Attributes
    ----------
    predictor : Predictor or None
        ``None`` where it does not load.
    checks : tuple of Check
    """

    predictor: Predictor | None
    checks: tuple[Check, ...]


def source_of(dataset: Dataset) -> str:
    """Where the dataset's history is from, as the manifest says it."""
    sources = {history.source for history in dataset.histories}
    return "simulated" if "simulated" in sources else "+".join(sorted(sources))


def proof_checks(
    staged: Path, parity: Parity, dataset: Dataset, recipe: Recipe, settings: GateSettings
) -> Proven:
    """Graph equals model; golden rows and windows answer as proven; the bundle is of this recipe and data."""
    largest = parity.largest_difference
    found = [
        Check(
            "parity",
            largest,
            settings.parity,
            bool(largest <= settings.parity) and parity.differing_regimes == 0,
            f"graph and model differ by {largest:.1e} at most on {parity.rows:,} rows, "
            f"{parity.differing_regimes} of them with another regime; {settings.parity:.0e} and none allowed",
        )
    ]
    try:
        predictor = Predictor.load(staged)
    except BearmodeError as error:
        return Proven(None, (*found, Check("golden", None, None, False, error.message)))
    found.append(Check("golden", None, None, True, "golden rows and windows answer as proven"))
    manifest = predictor.manifest
    try:
        same = Recipe.from_dict(manifest.recipe).recipe_hash() == recipe.recipe_hash()
    except BearmodeError:
        same = False
    whole = same and manifest.data_hash == dataset.data_hash()
    words = "the bundle is of this recipe and these data"
    if not whole:
        words = f"the bundle was made by {'other data' if same else 'another recipe'} than is judged here"
    return Proven(predictor, (*found, Check("made_of", None, None, whole, words)))


def past_checks(dataset: Dataset, champion: Predictor, settings: GateSettings) -> list[Check]:
    """What a challenger's data must still be, with the champion's in view."""
    manifest, source = champion.manifest, source_of(dataset)
    real = manifest.data_source != "simulated"
    found = [
        Check(
            "data_source",
            None,
            None,
            not (real and source == "simulated"),
            f"the champion learned from {manifest.data_source}, the challenger from {source}",
        )
    ]
    known = pd.Timestamp(manifest.training.trained_until)
    newest = dataset.time.max()
    found.append(
        Check(
            "data_age",
            (newest - known) / pd.Timedelta(days=1),
            0.0,
            bool(newest >= known),
            f"data until {newest:%Y-%m-%d %H:%M}, the champion's until {known:%Y-%m-%d %H:%M}",
        )
    )
    lost = sorted(set(manifest.symbols) - set(dataset.symbols))
    words = f"the challenger lacks {', '.join(lost)}" if lost else "every symbol of the champion is there"
    found.append(
        Check("symbols", len(lost), settings.lost_symbols, len(lost) <= settings.lost_symbols, words)
    )
    if source == manifest.data_source:
        found.append(_revised(dataset, champion, settings))
    return found


def _revised(dataset: Dataset, champion: Predictor, settings: GateSettings) -> Check:
    """Share of the bars in the champion's golden windows that have another close or funding today."""
    bars = changed = 0
    for window in champion.bundle.golden["windows"][:2]:
        request = window["request"]
        if request["symbol"] not in dataset.symbols:
            continue
        history = dataset.histories[dataset.symbols.index(request["symbol"])]
        frame = pd.DataFrame(
            {name: history.column(name) for name in ("close", "funding_rate")}, index=history.time
        ).reindex(pd.to_datetime(request["time"], unit="ms", utc=True))
        differs = np.zeros(len(frame), dtype=bool)
        for name in frame:
            then = np.array(request.get(name) or [None] * len(frame), dtype=np.float64)
            now = frame[name].to_numpy(np.float64)
            differs |= ~np.isclose(now, then, rtol=SAME, atol=1e-12, equal_nan=True)
        bars, changed = bars + len(differs), changed + int(differs.sum())
    share = changed / bars if bars else 0.0
    return at_most(
        "revised_past", share, settings.revised_share, f"the share of {bars:,} known bars with another value"
    )
