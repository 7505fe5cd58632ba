"""The regime that was answered online: from a replay file, or by replaying the walk-forward models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.context import with_context
from features.errors import BundleError, DataError, UsageError
from features.history import History
from features.regimes import REGIMES
from features.sources.context_closes import load_closes
from serving.survival import OnlineSource
from training.replay import context_symbols, replay, replay_models
from training.settings import Places

__all__ = ["online_regime", "online_source", "read_replay", "replay_online"]

_COLUMNS = ("time", "symbol", "regime", "in_sample", "model_version")


def read_replay(file: Path) -> pd.DataFrame:
    """Answered rows of a replay file that are not in sample: ``time, symbol, regime, model_version``.

    Raises
    ------
    UsageError
        If it cannot be read.
    DataError
        If it is no replay file.
    """
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UsageError(f"--replay {file} cannot be read: {error}", field="replay") from error
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise DataError(
            f"{file} has no column {', '.join(missing)}: it is no replay file",
            code="no_replay_file",
            field="replay",
            hint="bearmode replay --walk-forward --since 2022-01-01 --out FILE writes one",
        )
    unknown = sorted(set(frame["regime"].dropna()) - set(REGIMES))
    if unknown:
        raise DataError(f"{file}: regime is {unknown[0]!r}, expected one of {', '.join(REGIMES)}")
    return _usable(frame)


def replay_online(
    histories: Sequence[History],
    places: Places,
    source: str | None,
    path: Path | None,
    progress: Callable[[str], None],
) -> pd.DataFrame:
    """Replay the champion's walk-forward models over whole histories.

    Raises
    ------
    BundleError
        If there is no champion, no walk-forward models beside it, or they read other bars.
    """
    models = replay_models(places.bundles, walk_forward=True)
    reads = models[0].predictor.manifest.interval
    if reads != histories[0].interval:
        raise BundleError(
            f"the champion reads {reads} bars, these are of {histories[0].interval}", code="wrong_interval"
        )
    universe = context_symbols(models)
    others = [name for name in universe if name not in {history.symbol for history in histories}]
    closes = load_closes(source, others, path=path, store=places.store, interval=histories[0].interval)
    since = min(model.start for model in models if model.start is not None)
    frame = replay(with_context(list(histories), universe, closes), models, since=since, progress=progress)
    return _usable(frame)


def _usable(frame: pd.DataFrame) -> pd.DataFrame:
    keep = frame["regime"].notna() & ~frame["in_sample"].astype(bool)
    return frame[keep].reset_index(drop=True)


def online_regime(rows: pd.DataFrame, symbol: str, time: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Class index answered at each bar of a symbol, -1 where none was.

    Raises
    ------
    DataError
        If a bar is answered twice.
    """
    own = rows[rows["symbol"] == symbol]
    stamp = pd.DatetimeIndex(own["time"]).as_unit("ms")
    if stamp.has_duplicates:
        raise DataError(f"the replay answers {symbol} twice at {stamp[stamp.duplicated()][0]}")
    place = time.as_unit("ms").get_indexer(stamp)
    found = np.full(len(time), -1, dtype=np.int64)
    index = own["regime"].map({name: k for k, name in enumerate(REGIMES)}).to_numpy(np.int64)
    found[place[place >= 0]] = index[place >= 0]
    return found


def online_source(rows: pd.DataFrame, symbol: str) -> OnlineSource | None:
    """Which models answered, and when; ``None`` where none did."""
    own = rows[rows["symbol"] == symbol]
    if own.empty:
        return None
    return OnlineSource(
        models=sorted({str(name) for name in own["model_version"].dropna()}),
        since=f"{own['time'].min():%Y-%m-%dT%H:%M:%SZ}",
        until=f"{own['time'].max():%Y-%m-%dT%H:%M:%SZ}",
    )
