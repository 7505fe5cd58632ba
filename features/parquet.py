"""Write one Parquet file, whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import UsageError

__all__ = ["appended_parquet", "write_parquet"]


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write beside ``path`` and rename: a reader sees the old file or the new one.

    Raises
    ------
    UsageError
        If the folder does not exist or the file cannot be written.
    """
    with _staged(path) as staging, _told_plainly(path):
        frame.to_parquet(staging, index=False)


@contextmanager
def appended_parquet(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write tables one after the other, each a row group: no more than one is in memory.

    The file takes its place when the block ends, and never if it ends with an error. The same tables
    give the same bytes.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema
        Of each table.

    Yields
    ------
    callable
        Takes the next table.

    Raises
    ------
    UsageError
        If the folder does not exist or the file cannot be written; the first at once.
    """
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with _staged(path) as staging:
        with _told_plainly(path):
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder")
            writer = pq.ParquetWriter(staging, schema, use_dictionary=texts)

        def append(table: pa.Table) -> None:
            with _told_plainly(path):
                writer.write_table(table, row_group_size=max(1, table.num_rows))

        try:
            yield append
        except BaseException:
            with suppress(OSError):  # the disk may be full: what is said is why, not this
                writer.close()
            raise
        with _told_plainly(path):
            writer.close()


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """A name beside ``path``; what is there in the end takes its place."""
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield staging
        with _told_plainly(path):
            staging.replace(path)
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            staging.unlink()


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", field="out") from error
