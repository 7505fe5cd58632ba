"""Answers that are partly right, for tests that need some."""

from __future__ import annotations

import numpy as np

from training.dataset import Dataset
from training.evaluation import Answers

__all__ = ["noisy_answers"]


def noisy_answers(dataset: Dataset, name: str = "model", *, seed: int = 3, hit: float = 0.6) -> Answers:
    """Answers at the later half of each symbol's bars; each holds the truth with about ``hit``."""
    rng = np.random.default_rng(seed)
    bars = len(dataset.y)
    probabilities = rng.dirichlet(np.ones(4), size=bars)
    told = (rng.random(bars) < hit) & (dataset.y >= 0)
    probabilities[told] = 0.3 * probabilities[told] + 0.7 * np.eye(4)[dataset.y[told]]
    later = np.asarray(dataset.time >= dataset.time.min() + (dataset.time.max() - dataset.time.min()) / 2)
    return Answers.likeliest(name, np.where(later[:, None], probabilities, np.nan))
