"""What a report on features found: tables over the whole catalogue, and the ablation."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from training.feature_study.ablation import Ablation
from training.feature_study.feature_relations import Relations
from training.feature_study.feature_sample import FeatureSample

__all__ = ["FeatureReport"]


@dataclass(frozen=True)
class FeatureReport:
    """Everything that page, tables and JSON show.

    Attributes
    ----------
    sample : FeatureSample
    default : tuple of str
        What the default model reads.
    coverage, drift, stability : pandas.DataFrame
        As the functions of their names give them.
    relations : Relations
    ablation : Ablation or None
        ``None`` where it was not asked for.
    run_id : str
        In MLflow.
    """

    sample: FeatureSample
    default: tuple[str, ...]
    coverage: pd.DataFrame
    drift: pd.DataFrame
    stability: pd.DataFrame
    relations: Relations
    ablation: Ablation | None = None
    run_id: str = ""
