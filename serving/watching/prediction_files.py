"""The files of the prediction log: a day that runs is JSON lines, a day that is over is Parquet.

``<day>.<writer>.jsonl`` is appended to by one process, which holds its lock while it lives. Whoever
comes later makes ``<day>.<writer>.parquet`` of it: its writer, or any other once the writer is gone.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.regimes import REGIMES

__all__ = ["SCHEMA", "close_days", "drop_days", "open_day", "read_predictions"]

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.([0-9a-f]{12})\.(jsonl|parquet)")
_WHEN = pa.timestamp("ms", tz="UTC")

SCHEMA = pa.schema(
    [
        ("answered_at", _WHEN),
        ("request_id", pa.string()),
        ("source", pa.string()),
        ("key", pa.string()),
        ("symbol", pa.string()),
        ("interval_ms", pa.int64()),
        ("as_of", _WHEN),
        ("time", _WHEN),
        ("window_hash", pa.string()),
        ("model_version", pa.string()),
        ("trained_until", _WHEN),
        ("in_sample", pa.bool_()),
        ("regime", pa.string()),
        *((f"p_{name}", pa.float64()) for name in REGIMES),
        ("prediction_set", pa.string()),
        ("side", pa.string()),
        ("short_share", pa.float64()),
        ("size_factor", pa.float64()),
        ("leverage", pa.float64()),
        ("leverage_short", pa.float64()),
        ("leverage_long", pa.float64()),
        ("leverage_cap", pa.float64()),
        ("adverse_excursion", pa.float64()),
        ("novelty", pa.float64()),
        ("agreeing", pa.int64()),
        ("available", pa.int64()),
        ("degraded", pa.string()),
        ("model_state", pa.string()),
    ]
)
"""Columns of a row; those that a replay file has, too, mean the same."""


def open_day(folder: Path, day: date, writer: str) -> int:
    """Open the running file of a day for appending, and lock it.

    Returns
    -------
    int
        File descriptor; closing it gives the lock back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(
        folder / f"{day}.{writer}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def close_days(folder: Path, today: date) -> list[Path]:
    """Make Parquet of every file of a day before today that nobody writes to any more.

    Safe to run in many processes at once.

    Returns
    -------
    list of Path
        What was made.
    """
    made = []
    for path in _files(folder, "jsonl"):
        if _day(path) < today:
            with _adopted(path) as mine:
                if mine:
                    made.append(_to_parquet(path))
    return made


def drop_days(folder: Path, before: date) -> int:
    """Remove closed files of days before one; how many."""
    old = [path for path in _files(folder, "parquet") if _day(path) < before]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def read_predictions(folder: Path, since: date | None = None) -> pd.DataFrame:
    """Read the log, days that are still running included.

    Parameters
    ----------
    folder : Path
    since : date, optional
        First day of answering that is wanted.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`SCHEMA`, in the order of answering; empty where there is no log.
    """
    parts: list[pa.Table] = []
    for path in [*_files(folder, "parquet"), *_files(folder, "jsonl")]:
        if since is not None and _day(path) < since:
            continue
        if path.suffix == ".jsonl" and path.with_suffix(".parquet").exists():
            continue  # made by now, not removed yet
        try:
            parts.append(pq.read_table(path, schema=SCHEMA) if path.suffix == ".parquet" else _table(path))
        except FileNotFoundError:  # closed or dropped meanwhile
            closed = path.with_suffix(".parquet")
            if path.suffix == ".jsonl" and closed.exists():
                parts.append(pq.read_table(closed, schema=SCHEMA))
    table = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    frame: pd.DataFrame = table.to_pandas()
    return frame.sort_values("answered_at", kind="stable", ignore_index=True)


def _files(folder: Path, kind: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if (m := _NAME.fullmatch(path.name)) and m.group(3) == kind
    )


def _day(path: Path) -> date:
    return date.fromisoformat(path.name[:10])


@contextmanager
def _adopted(path: Path) -> Iterator[bool]:
    """Whether nobody writes to a file, with its lock held."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        # Another process may have closed the day between the two calls.
        yield path.exists()
    finally:
        os.close(descriptor)


def _to_parquet(path: Path) -> Path:
    closed = path.with_suffix(".parquet")
    table = _table(path)
    if table.num_rows:
        staging = closed.with_name(f".{closed.name}.{os.getpid()}")
        try:
            pq.write_table(table, staging, compression="zstd")
            staging.replace(closed)
        finally:
            staging.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return closed


def _table(path: Path) -> pa.Table:
    """Rows of a running file; a last line that a crash cut off is left out."""
    return _rows_table(_whole_lines(path.read_bytes()))


def _whole_lines(content: bytes) -> Iterable[dict[str, Any]]:
    for line in content.split(b"\n"):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            yield row


def _rows_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    listed = list(rows)
    columns = []
    for field in SCHEMA:
        values = [row.get(field.name) for row in listed]
        when = field.type == _WHEN
        columns.append(pa.array(values, pa.int64()).cast(_WHEN) if when else pa.array(values, field.type))
    return pa.table(columns, schema=SCHEMA)


def days_before(today: date, days: int) -> date:
    """First day that is kept."""
    return today - timedelta(days=days)
