"""The champion as the gate may ask it: only models that knew nothing of the window.

A champion that was trained yesterday has seen the window, so it cannot be scored on it. But the models
of its walk are kept beside it, each fitted on what was known before its half-year: with the data of that
time, to the byte. They say what the champion's recipe made of the champion's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.errors import BearmodeError, BundleError
from serving.bundle import champion, champion_folder
from serving.predictor import Predictor
from training.promotion import load_champion, walk_forward_folder
from training.recipe import Recipe

__all__ = ["Reference", "Standing", "frozen_reference", "standing_champion"]


@dataclass(frozen=True)
class Standing:
    """The champion that a challenger is measured against.

    Attributes
    ----------
    predictor : Predictor or None
        ``None`` where there is none to compare with.
    recipe : Recipe or None
        What it was made by; ``None`` where this bearmode cannot follow it.
    why : str
        Why there is no comparison, in words; empty where there is one.
    """

    predictor: Predictor | None
    recipe: Recipe | None
    why: str


@dataclass(frozen=True)
class Reference:
    """A model of the champion that knew nothing of the window.

    Attributes
    ----------
    predictor : Predictor
    start : pandas.Timestamp
        The window begins here.
    words : str
    """

    predictor: Predictor
    start: pd.Timestamp
    words: str


def standing_champion(bundles: Path, *, simulated: bool, interval: str) -> Standing:
    """Load the champion, or say why a challenger cannot be compared with it.

    Parameters
    ----------
    bundles : Path
    simulated : bool
        Whether the challenger learned from simulated data.
    interval : str
        Of the challenger.
    """
    try:
        if champion(bundles) is None:
            return Standing(None, None, "there is no champion")
        predictor = load_champion(bundles)
    except BundleError as error:
        return Standing(None, None, f"the champion does not load: {error.message}")
    manifest = predictor.manifest
    if manifest.data_source == "simulated" and not simulated:
        return Standing(None, None, f"the champion {predictor.version} learned from simulated data")
    if manifest.interval != interval:
        why = f"the champion {predictor.version} reads bars of {manifest.interval}, the challenger {interval}"
        return Standing(None, None, why)
    try:
        recipe = Recipe.from_dict(manifest.recipe)
        recipe.selected()
    except BearmodeError as error:
        return Standing(predictor, None, f"the champion's recipe cannot be followed: {error.message}")
    return Standing(predictor, recipe, "")


def frozen_reference(
    bundles: Path, predictor: Predictor, latest: pd.Timestamp, embargo_days: float
) -> Reference | None:
    """Newest model of the champion whose knowledge ended before a window that is long enough.

    Parameters
    ----------
    bundles : Path
    predictor : Predictor
        The champion.
    latest : pandas.Timestamp
        Latest start of a window.
    embargo_days : float

    Returns
    -------
    Reference or None
        ``None`` where every model that it keeps knew too much, or none loads.
    """
    embargo = pd.Timedelta(days=embargo_days)
    known = pd.Timestamp(predictor.manifest.training.trained_until)
    if known + embargo <= latest:
        return Reference(
            predictor, latest, f"the champion {predictor.version} itself, trained until {known:%Y-%m-%d}"
        )
    folds = walk_forward_folder(champion_folder(bundles))
    for folder in sorted(folds.glob("[0-9][0-9][0-9][0-9]-0[17]"), reverse=True):
        start = pd.Timestamp(f"{folder.name}-01", tz="UTC")
        if start > latest:
            continue
        try:
            fold = Predictor.load(folder)
        except BundleError:
            continue
        if pd.Timestamp(fold.manifest.training.trained_until) + embargo <= start:
            return Reference(fold, start, f"the champion {predictor.version} as it walked into {folder.name}")
    return None
