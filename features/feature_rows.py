"""The rows of one symbol in a feature table, as a task that runs anywhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from features.catalog import CATALOG
from features.context import with_context
from features.history import History
from features.parallel.outcomes import Tell
from features.pipeline import feature_matrix
from features.regimes import REGIMES, hindsight_regimes
from features.sources.context_closes import closes_once
from features.sources.loading import load_histories

__all__ = ["feature_rows", "feature_schema"]

_TIME = pa.timestamp("ms", tz="UTC")


def feature_schema(*, labels: bool = False) -> pa.Schema:
    """``symbol, time``, a float32 column per feature; with labels ``hindsight_regime, confirmed_at``."""
    fields = [pa.field("symbol", pa.string()), pa.field("time", _TIME)]
    fields += [pa.field(feature.name, pa.float32()) for feature in CATALOG]
    if labels:
        fields += [pa.field("hindsight_regime", pa.string()), pa.field("confirmed_at", _TIME)]
    return pa.schema(fields)


def feature_rows(
    symbol: str,
    tell: Tell,
    *,
    source: str | None = None,
    path: Path | None = None,
    store: Path | str = "data",
    interval: str = "1h",
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    labels: bool = False,
    universe: tuple[str, ...] = (),
    run: str = "",
) -> pa.Table:
    """Read a symbol and compute its rows, in the order of time.

    Other parameters are those of :func:`features.sources.loading.load_histories`.

    Parameters
    ----------
    symbol : str
    tell : callable
        Told of two steps: read, computed.
    labels : bool, default=False
        Add the hindsight labels; they have seen the future.
    universe : tuple of str
        Symbols that features across markets look at; none: they are NaN.
    run : str
        Name of the run, never used again: the universe is read once a process and run.

    Returns
    -------
    pyarrow.Table
        Of :func:`feature_schema`. A feature that is not known is NaN, a label that is not is null.

    Raises
    ------
    BearmodeError
        If the symbol cannot be read.
    """
    (history,) = load_histories(
        source, [symbol], path=path, store=store, interval=interval, since=since, until=until
    )
    if universe:
        closes = closes_once(source, universe, path, store, interval, run)
        (history,) = with_context([history], universe, closes)
    tell(symbol, 1, 2)
    matrix = feature_matrix(history, CATALOG)
    columns = [
        pa.repeat(pa.scalar(symbol, pa.string()), len(history)),
        pa.array(history.time.as_unit("ms").asi8, pa.int64()).cast(_TIME),
        *(pa.array(column) for column in matrix.T.copy()),
        *(_label_columns(history) if labels else ()),
    ]
    tell(symbol, 2, 2)
    return pa.table(columns, schema=feature_schema(labels=labels))


def _label_columns(history: History) -> tuple[pa.Array, pa.Array]:
    found = hindsight_regimes(history)
    names = found["regime"].map(dict(enumerate(REGIMES)), na_action="ignore")
    return (
        pa.array(names.astype("object"), pa.string(), from_pandas=True),
        pa.array(found["confirmed_at"].dt.as_unit("ms").dt.tz_convert(None).to_numpy()).cast(_TIME),
    )
