"""Shadow mode: what a challenger would have answered on live bars, beside the champion's answers.

Both are replayed from the store on the bars that neither has seen: those after both were trained. That is
what the endpoint would have answered to the bar (a replay equals the endpoint), so nothing has to run
beside the service, and a challenger can be put into the shadow after the fact. How far they agree is known
at once; who was right, once the labels are confirmed, three to five weeks later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.context import with_context
from features.errors import BundleError, NothingUsableError, UsageError
from features.history import History
from features.regimes import REGIMES, hindsight_regimes
from serving.bundle import champion
from serving.predictor import Predictor
from training.evaluation import scores
from training.promotion import load_champion
from training.replay import ReplayModel, replay
from training.retraining.journal import Journal

__all__ = ["SHADOW_ROWS_HOURS", "Shadow", "challenger_version", "load_challenger", "shadow"]

SHADOW_ROWS_HOURS = 6
"""Losses are of the bars at 00, 06, 12 and 18 UTC, as everywhere."""
_COLUMNS = [f"p_{name}" for name in REGIMES]


@dataclass(frozen=True)
class Shadow:
    """Champion and challenger on the same live bars.

    Attributes
    ----------
    champion, challenger : str
        Versions.
    since, until : str
        First and last bar close that both answered, ISO 8601; empty where there is none.
    bars : int
        That both answered, over all symbols.
    agreement : float
        Share of them with the same regime.
    divergence : float
        Mean Jensen-Shannon divergence of the probabilities, in nats; 0 equal, 0.69 as far as can be.
    symbols : dict of str to dict
        Bars, agreement and divergence of each.
    differing : dict of str to int
        How often the champion said one thing and the challenger another: ``"bear > ranging"``.
    confirmed_rows, confirmed_spells : int
        Bars at 00, 06, 12 and 18 UTC whose label is confirmed by now, and their independent spells.
    log_loss, macro_f1 : dict of str to float
        Of both on the confirmed rows; empty where there are none.
    """

    champion: str
    challenger: str
    since: str
    until: str
    bars: int
    agreement: float | None
    divergence: float | None
    symbols: dict[str, dict[str, float]]
    differing: dict[str, int]
    confirmed_rows: int
    confirmed_spells: int
    log_loss: dict[str, float]
    macro_f1: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def challenger_version(bundles: Path, version: str | None) -> str:
    """The version asked for, or the newest that the journal names and that does not serve.

    Raises
    ------
    UsageError
        If the name is none, is the champion's, or nothing can be found.
    """
    found = champion(bundles)
    serving = None if found is None else found.version
    if version is None:
        for entry in reversed(Journal(bundles).entries()):
            name = entry.get("version")
            judged = entry.get("action") in {"refusal", "held_back"}
            if judged and isinstance(name, str) and name != serving and (bundles / name).is_dir():
                return name
        raise UsageError(
            "no challenger is installed beside the champion",
            field="version",
            hint="make one with 'bearmode retrain --no-promote', or name a version",
        )
    if not re.fullmatch(r"[0-9a-f]{12}", version):
        raise UsageError(
            f"{version!r} is no version of a bundle, expected its 12 hexadecimal digits", field="version"
        )
    if version == serving:
        raise UsageError(f"{version} is the champion: there is nothing to compare", field="version")
    return version


def load_challenger(bundles: Path, version: str) -> Predictor:
    """Load an installed bundle that does not serve.

    Raises
    ------
    BundleError
        If it is not there, fails its proof, or is not what its name says.
    """
    if not (bundles / version).is_dir():
        raise BundleError(f"{bundles} holds no bundle {version}", hint="bearmode journal names them")
    found = Predictor.load(bundles / version)
    if found.version != version:
        raise BundleError(f"{bundles / version} holds bundle {found.version}")
    return found


def shadow(
    bundles: Path,
    version: str,
    histories: list[History],
    *,
    since: pd.Timestamp | None = None,
    progress: Callable[[str], None] = lambda _name: None,
) -> Shadow:
    """Replay champion and challenger and compare them.

    Parameters
    ----------
    bundles : Path
    version : str
        The challenger's.
    histories : list of History
        Whole: the first answers need a window before ``since``.
    since : pandas.Timestamp, optional
        First bar close; moved to where both models have an end behind them.
    progress : callable
        Told each symbol.

    Raises
    ------
    BundleError
        If one of the two does not load.
    UsageError
        If they are of different intervals.
    """
    models = {"champion": load_champion(bundles), "challenger": load_challenger(bundles, version)}
    seen = max(pd.Timestamp(one.manifest.training.trained_until) for one in models.values())
    begin = seen + pd.Timedelta(milliseconds=1)
    if since is not None:
        begin = max(begin, since)
    universe = sorted({name for one in models.values() for name in one.manifest.context_symbols})
    if universe and not any(history.context for history in histories):
        histories = with_context(histories, universe)
    intervals = {one.interval for one in histories} | {one.manifest.interval for one in models.values()}
    if len(intervals) > 1:
        raise UsageError(f"models and bars are of several intervals: {', '.join(sorted(intervals))}")
    if not histories:
        raise NothingUsableError("there is no history to replay")
    frames = {}
    for name, model in models.items():
        tell = progress if name == "challenger" else (lambda _name: None)
        frames[name] = replay(histories, [ReplayModel(model, None, None)], since=begin, progress=tell)
    joined = frames["champion"].merge(
        frames["challenger"], on=["symbol", "time"], suffixes=("", "_challenger"), validate="one_to_one"
    )
    joined = joined[joined["regime"].notna() & joined["regime_challenger"].notna()]
    names = {name: model.version for name, model in models.items()}
    return _compared(joined.reset_index(drop=True), names, histories)


def _compared(both: pd.DataFrame, names: dict[str, str], histories: list[History]) -> Shadow:
    same = (both["regime"] == both["regime_challenger"]).to_numpy()
    p = both[_COLUMNS].to_numpy(np.float64)
    q = both[[f"{name}_challenger" for name in _COLUMNS]].to_numpy(np.float64)
    apart = _jensen_shannon(p, q)
    pairs = (both["regime"] + " > " + both["regime_challenger"])[~same].value_counts()
    labels = pd.concat(
        [_labels(history) for history in histories]
        or [pd.DataFrame(columns=["symbol", "time", "y", "spell"])]
    )
    known = both.assign(row=range(len(both))).merge(labels, on=["symbol", "time"], how="inner")
    rows = known["row"].to_numpy(np.int64)
    y = known["y"].to_numpy(np.int8)
    found = {
        name: scores(table[rows], y) for name, table in (("champion", p), ("challenger", q)) if len(rows)
    }
    return Shadow(
        **names,
        since=both["time"].min().isoformat() if len(both) else "",
        until=both["time"].max().isoformat() if len(both) else "",
        bars=len(both),
        agreement=float(same.mean()) if len(both) else None,
        divergence=float(apart.mean()) if len(both) else None,
        symbols={
            str(name): {
                "bars": float(len(mine)),
                "agreement": float(same[mine].mean()),
                "divergence": float(apart[mine].mean()),
            }
            for name, mine in both.groupby("symbol").indices.items()
        },
        differing={str(pair): int(count) for pair, count in pairs.items()},
        confirmed_rows=len(rows),
        confirmed_spells=len(known[["symbol", "spell"]].drop_duplicates()),
        log_loss={name: one["log_loss"] for name, one in found.items()},
        macro_f1={name: one["macro_f1"] for name, one in found.items()},
    )


def _labels(history: History) -> pd.DataFrame:
    """Confirmed labels of the rows that scores are of, with the spell that they belong to."""
    table = hindsight_regimes(history)
    y = table["regime"].fillna(-1).to_numpy(np.int8)
    spell = np.cumsum(np.diff(y, prepend=-2) != 0)
    hours = SHADOW_ROWS_HOURS if history.per_day == 24 else 1
    keep = (y >= 0) & np.asarray(history.time.hour % hours == 0)
    frame = pd.DataFrame({"symbol": history.symbol, "time": history.time, "y": y, "spell": spell})
    return frame[keep].astype({"time": "datetime64[ms, UTC]"})


def _jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Divergence of rows of probabilities, in nats, shape (n_rows,)."""
    from scipy.spatial.distance import jensenshannon  # noqa: PLC0415

    if not len(p):
        return np.zeros(0)
    return np.asarray(np.nan_to_num(jensenshannon(p, q, axis=1)) ** 2)
