"""The training table: features at each bar, hindsight labels where confirmed, weights by spell."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.context import needs_context, with_context
from features.declaration import Feature
from features.errors import NothingUsableError
from features.history import History
from features.pipeline import feature_matrix
from features.regimes import REGIMES, hindsight_regimes

__all__ = ["Dataset", "build_dataset", "spell_weights"]

ROW_HOURS = 6
"""Rows are taken at 00, 06, 12 and 18 UTC: neighbouring hours say the same."""


@dataclass(frozen=True)
class Dataset:
    """All bars of all symbols, symbol after symbol.

    Attributes
    ----------
    features : tuple of Feature
        Columns of ``X``.
    X : ndarray of float32, shape (n_bars, n_features)
    y : ndarray of int8, shape (n_bars,)
        Class index in hindsight; -1 where not confirmed.
    time : pandas.DatetimeIndex of length n_bars
        Bar closes.
    confirmed_at : pandas.Series of length n_bars
        From when on ``y`` may be used; NaT where it may not.
    symbol : ndarray of int, shape (n_bars,)
        Index into ``symbols``.
    spell : ndarray of int, shape (n_bars,)
        Number of the unbroken run of one label that a bar belongs to; -1 where unlabelled.
    sampled : ndarray of bool, shape (n_bars,)
        Rows that training and scores use.
    present : ndarray of bool, shape (n_bars,)
        False where the bar is missing.
    histories : tuple of History
    symbols : tuple of str
    """

    features: tuple[Feature, ...]
    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int8]
    time: pd.DatetimeIndex
    confirmed_at: pd.Series
    symbol: npt.NDArray[np.int64]
    spell: npt.NDArray[np.int64]
    sampled: npt.NDArray[np.bool_]
    present: npt.NDArray[np.bool_]
    histories: tuple[History, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols in order."""
        return tuple(history.symbol for history in self.histories)

    @property
    def universe(self) -> tuple[str, ...]:
        """Symbols that the features look across; empty where none does."""
        return tuple(self.histories[0].context) if needs_context(self.features) else ()

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Rows to learn from and to score: sampled, labelled, with a bar."""
        return self.sampled & (self.y >= 0) & self.present

    @property
    def rows_per_day(self) -> float:
        """Sampled rows a day and symbol."""
        per_day = self.histories[0].per_day
        return min(per_day, 24 / ROW_HOURS) if per_day == 24 else per_day

    def data_hash(self) -> str:
        """SHA-256 over every history's values and times."""
        digest = hashlib.sha256()
        for history in self.histories:
            digest.update(f"{history.symbol} {history.interval} {list(history.frame.columns)}".encode())
            digest.update(np.ascontiguousarray(history.time.as_unit("ms").asi8).tobytes())
            digest.update(np.ascontiguousarray(history.frame.to_numpy(np.float64)).tobytes())
            for name in self.universe:
                if name not in self.symbols:  # the others are there themselves
                    digest.update(name.encode() + np.ascontiguousarray(history.context[name]).tobytes())
        return digest.hexdigest()

    def feature_hash(self) -> str:
        """SHA-256 over the feature table and labels that the model is made from."""
        digest = hashlib.sha256(" ".join(feature.name for feature in self.features).encode())
        digest.update(np.ascontiguousarray(self.X).tobytes())
        digest.update(self.y.tobytes())
        return digest.hexdigest()


def build_dataset(histories: list[History], features: tuple[Feature, ...]) -> Dataset:
    """Compute features and labels of every symbol.

    Where a feature looks across markets and the histories carry no context, they become each other's
    (:func:`features.context.with_context`).

    Raises
    ------
    NothingUsableError
        If there is no history.
    """
    if not histories:
        raise NothingUsableError("there is no history to learn from")
    if needs_context(features) and not any(history.context for history in histories):
        histories = with_context(histories)
    parts: list[tuple[npt.NDArray[np.float32], pd.DataFrame]] = []
    for history in histories:
        parts.append((feature_matrix(history, features), hindsight_regimes(history)))
    y = np.concatenate([labels["regime"].fillna(-1).to_numpy(np.int8) for _, labels in parts])
    symbol = np.concatenate(
        [np.full(len(history), index, dtype=np.int64) for index, history in enumerate(histories)]
    )
    time = pd.DatetimeIndex(
        np.concatenate([history.time.asi8 for history in histories]).astype("M8[ms]"), tz="UTC"
    )
    step = 1 if histories[0].per_day < 24 else ROW_HOURS
    turns = np.flatnonzero((np.diff(y, prepend=-2) != 0) | (np.diff(symbol, prepend=-1) != 0))
    spell = np.zeros(len(y), dtype=np.int64)
    spell[turns] = 1
    spell = np.where(y >= 0, np.cumsum(spell), -1)
    return Dataset(
        features=features,
        X=np.concatenate([matrix for matrix, _ in parts]),
        y=y,
        time=time,
        confirmed_at=pd.concat([labels["confirmed_at"] for _, labels in parts], ignore_index=True),
        symbol=symbol,
        spell=spell,
        sampled=np.asarray(time.hour % step == 0),
        present=np.concatenate([np.isfinite(history.column("close")) for history in histories]),
        histories=tuple(histories),
    )


def spell_weights(
    y: npt.NDArray[np.int8], spell: npt.NDArray[np.int64], power: float
) -> npt.NDArray[np.float64]:
    """Weights that count spells rather than bars.

    The bars of one spell are one event told many times. A row weighs ``length ** -power`` of its
    spell (0: every bar counts, 1: every spell counts), scaled so that each class keeps the total
    weight of its bars: the prior stays what the market's was.

    Parameters
    ----------
    y, spell : ndarray of int, shape (n_rows,)
    power : float

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        Mean 1.
    """
    _, inverse, count = np.unique(spell, return_inverse=True, return_counts=True)
    weight: npt.NDArray[np.float64] = count[inverse].astype(np.float64) ** -power
    for index in range(len(REGIMES)):
        rows = y == index
        if rows.any():
            weight[rows] *= rows.sum() / weight[rows].sum()
    return weight
