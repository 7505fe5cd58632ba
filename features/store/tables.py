"""Rows to Parquet bytes and back; merging and cutting into partitions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import DataError
from features.store.change import Span
from features.store.kinds import Kind
from features.store.manifest import Partition

__all__ = ["cut", "decode", "encode", "merged"]


def encode(kind: Kind, period: str, rows: pd.DataFrame) -> tuple[Partition, bytes]:
    """One partition as Parquet: the same rows give the same bytes, and a name made from them."""
    stamps = _stamps(rows, kind)
    columns = {
        name: pa.array(stamps).cast(pa.timestamp("ms", "UTC"))
        if name == kind.key
        else pa.array(rows[name].to_numpy(np.float64))
        for name in rows.columns
    }
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        sink,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    content = sink.getvalue()
    name = f"{period}.{_hash(content)}.parquet"
    return Partition(name, len(rows), int(stamps[0]), int(stamps[-1])), content


def decode(content: bytes, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of one partition; ``where`` names it in errors, and its name holds the hash of its bytes.

    Raises
    ------
    DataError
        If the bytes are not what was written.
    """
    if _hash(content) != where.split(".")[-2]:
        # Parquet's own checksums leave out the footer: a column could bear another's name.
        raise DataError(
            f"{where} is damaged: its bytes are not those that were written",
            code="damaged_store",
            hint="remove the symbol's folder and fetch it again",
        )
    try:
        return pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True).read(
            columns=None if columns is None else list(columns), use_threads=False
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{where} is damaged: {error}",
            code="damaged_store",
            hint="remove the symbol's folder and fetch it again",
        ) from error


def merged(
    kind: Kind, old: pd.DataFrame | None, new: pd.DataFrame | None, cleared: Sequence[Span] = ()
) -> pd.DataFrame | None:
    """Old rows outside the cleared spans, and the new ones; a new row replaces one of its time."""
    if old is not None and cleared:
        stamps = old[kind.key]
        for start, end in cleared:
            old = old.loc[~((stamps > start) & (stamps < end))]
            stamps = old[kind.key]
    parts = [part for part in (old, new) if part is not None and len(part)]
    if not parts:
        return None
    both = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    steps = np.diff(_stamps(both, kind))
    if (steps <= 0).any():
        both = both.drop_duplicates(kind.key, keep="last").sort_values(kind.key, kind="stable")
    return both.reset_index(drop=True)


def cut(kind: Kind, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each period, in the order of the rows."""
    times = rows[kind.key]
    label = times.dt.year.to_numpy() * 100 + (times.dt.month.to_numpy() if kind.period == "month" else 0)
    edges = np.flatnonzero(np.diff(label)) + 1
    if (np.diff(label) < 0).any():
        raise DataError(f"{kind.name}: rows are not in the order of time", code="unsorted_time")
    for first, after in zip([0, *edges], [*edges, len(rows)], strict=True):
        year, month = divmod(int(label[first]), 100)
        yield f"{year:04d}-{month:02d}" if month else f"{year:04d}", rows.iloc[first:after]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _stamps(rows: pd.DataFrame, kind: Kind) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    stamps: np.ndarray[tuple[int], np.dtype[np.int64]] = pd.DatetimeIndex(rows[kind.key]).as_unit("ms").asi8
    return stamps
