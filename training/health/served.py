"""How the answers did that were really served: the prediction log beside the labels confirmed since.

The other tables judge the recipe on every bar. This one judges what clients got: only bars that were
asked for, by the bundle that answered, and only bars that this bundle had not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.history import History
from features.raw import interval_delta
from features.regimes import REGIMES, hindsight_regimes
from training.health.performance import entropy

__all__ = ["Served", "served_performance"]

MOST_VERSIONS = 12


@dataclass(frozen=True)
class Served:
    """The answers of one bundle.

    Attributes
    ----------
    version : str
    since, until : pandas.Timestamp
        First and last bar that was answered.
    bars : int
        Bars of a symbol that were answered out of sample; one that was asked for more than once
        counts once.
    confirmed, spells : int
        Of those, the ones whose label is known, and the unbroken runs of one label that they lie in.
    accuracy, expected_accuracy : float
        Share of confirmed bars whose regime was right, and what the probabilities promised for them.
    log_loss, expected_log_loss : float
        The same for the probabilities, nats.
    """

    version: str
    since: pd.Timestamp
    until: pd.Timestamp
    bars: int
    confirmed: int
    spells: int
    accuracy: float
    expected_accuracy: float
    log_loss: float
    expected_log_loss: float

    @property
    def gap(self) -> float:
        """Realised less expected log loss; NaN where nothing is confirmed."""
        return self.log_loss - self.expected_log_loss


def served_performance(log: pd.DataFrame, histories: Sequence[History]) -> list[Served]:
    """Judge what was served.

    Parameters
    ----------
    log : pandas.DataFrame
        As :func:`serving.watching.read_predictions` reads it.
    histories : sequence of History
        Whole histories, cut to the moment of the question. Answers about other symbols, other
        intervals and later bars are left out.

    Returns
    -------
    list of Served
        One for each bundle, in the order of their last answers; at most the newest 12.
    """
    parts = [_labelled(log, history) for history in histories]
    rows = (
        pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else None
    )
    if rows is None:
        return []
    order = rows.groupby("model_version")["time"].max().sort_values(kind="stable").index[-MOST_VERSIONS:]
    return [_judged(str(version), rows[rows["model_version"] == version]) for version in order]


def _labelled(log: pd.DataFrame, history: History) -> pd.DataFrame:
    """Answers about one symbol, one for each bar and bundle, with label and spell."""
    step = interval_delta(history.interval) // pd.Timedelta(milliseconds=1)
    mine = log[(log["symbol"] == history.symbol) & (log["interval_ms"] == step) & ~log["in_sample"]]
    # The answer from the store stands for its bar; a client's own window may be anything.
    mine = mine.assign(own=mine["source"] != "live").sort_values(["own", "answered_at"], kind="stable")
    mine = mine.drop_duplicates(["model_version", "time"])
    time = history.time.as_unit("ms")
    place = time.get_indexer(pd.DatetimeIndex(mine["time"]).as_unit("ms"))
    mine, place = mine[place >= 0], place[place >= 0]
    label = hindsight_regimes(history)["regime"].fillna(-1).to_numpy(np.int64)
    spell = np.cumsum(np.diff(label, prepend=-2) != 0)
    named = [f"{history.symbol} {number}" for number in spell[place]]
    return mine.assign(label=label[place], spell=named)


def _judged(version: str, rows: pd.DataFrame) -> Served:
    known = rows[rows["label"] >= 0]
    label: npt.NDArray[np.int64] = known["label"].to_numpy(np.int64)
    probabilities: FloatArray = known[[f"p_{name}" for name in REGIMES]].to_numpy(np.float64)
    regime = known["regime"].map(list(REGIMES).index).to_numpy(np.int64)
    each = np.arange(len(known))
    given = np.clip(probabilities[each, label], 1e-15, 1.0)
    return Served(
        version=version,
        since=rows["time"].min(),
        until=rows["time"].max(),
        bars=len(rows),
        confirmed=len(known),
        spells=int(known["spell"].nunique()),
        accuracy=_mean(regime == label),
        expected_accuracy=_mean(probabilities[each, regime]),
        log_loss=_mean(-np.log(given)),
        expected_log_loss=_mean(entropy(probabilities)),
    )


def _mean(values: npt.NDArray[np.floating] | npt.NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
