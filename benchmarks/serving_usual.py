"""What a user would otherwise build: FastAPI, pandas features and LightGBM's scikit-learn wrapper.

Written as one would write it with care: a pydantic request, one frame, what several features share
computed once (:mod:`benchmarks.pandas_oracle`), one row predicted, one worker of uvicorn. pandas has no
words for the shares of the labels' own futures, so it borrows ours for them, for the one row that it
needs. It has no smoothing, no advice, no checks of the data and no proof of anything.
"""

from __future__ import annotations

import os
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.pandas_oracle import DEFAULT, oracle_table
from features.default_set import DEFAULT_FEATURES, PRIOR_FEATURES, default_features
from features.history import REQUIRED_COLUMNS, History
from features.pipeline import feature_matrix
from features.regimes import REGIMES, hindsight_regimes

__all__ = ["app", "fit"]

ROWS = 20_000
PRIOR = tuple(feature for feature in default_features() if feature.name in PRIOR_FEATURES)
app = FastAPI()


class Window(BaseModel):
    """The columns of a window."""

    symbol: str
    interval: str
    as_of: int
    time: list[int]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: list[float | None]
    funding_rate: list[float | None]
    funding_interval_hours: list[float | None]
    open_interest: list[float | None]


class Said(BaseModel):
    """What comes back."""

    symbol: str
    regime: str
    probabilities: dict[str, float]


def fit(history: History, rounds: int, leaves: int) -> lightgbm.LGBMClassifier:
    """A classifier of as many trees as ours."""
    labels = hindsight_regimes(history)["regime"]
    matrix = pd.DataFrame(feature_matrix(history, default_features()), columns=DEFAULT_FEATURES)
    rows = np.flatnonzero(labels.notna().to_numpy())[-ROWS:]
    model = lightgbm.LGBMClassifier(n_estimators=rounds, num_leaves=leaves, n_jobs=1, verbose=-1)
    model.fit(matrix.iloc[rows], labels.iloc[rows].astype(int))
    return model


def _load() -> lightgbm.LGBMClassifier:
    import joblib  # noqa: PLC0415  (as scikit-learn's users do)

    return joblib.load(Path(os.environ["USUAL_MODEL"]))


MODEL = _load() if "USUAL_MODEL" in os.environ else None


@app.get("/readyz")
def ready() -> str:
    """Whether it is up."""
    return "ok"


@app.post("/v1/predict")
def predict(window: Window) -> Said:
    """Probabilities at the window's last close."""
    index = pd.to_datetime(window.time, unit="ms", utc=True)
    frame = pd.DataFrame(
        {name: np.array(getattr(window, name), dtype=np.float64) for name in REQUIRED_COLUMNS}, index=index
    )
    frame.index.name = "time"
    history = History(window.symbol, window.interval, frame)
    row = oracle_table(history, DEFAULT).iloc[[-1]]
    row = row.assign(**dict(zip(PRIOR_FEATURES, feature_matrix(history, PRIOR, last=1)[0], strict=True)))
    assert MODEL is not None
    (p,) = MODEL.predict_proba(row[list(DEFAULT_FEATURES)])
    said = dict.fromkeys(REGIMES, 0.0) | {
        REGIMES[int(index)]: float(share) for index, share in zip(MODEL.classes_, p, strict=True)
    }
    return Said(symbol=window.symbol, regime=max(said, key=lambda name: said[name]), probabilities=said)
