"""One file of the archive, zip or CSV, to tables."""

from __future__ import annotations

from features.errors import UsageError
from features.sources.archive.funding import Settlement, read_funding
from features.sources.archive.klines import read_klines
from features.sources.archive.layout import ArchiveFile
from features.sources.archive.metrics import read_metrics
from features.sources.archive.notes import EVER, Reading, Span
from features.sources.archive.refused import RefusedFileError
from features.sources.archive.zips import CSV_LIMIT, unpack

__all__ = [
    "Reading",
    "RefusedFileError",
    "Settlement",
    "Span",
    "read_csv",
    "read_funding",
    "read_klines",
    "read_metrics",
    "read_zip",
    "unpack",
]


def read_zip(
    content: bytes,
    file: ArchiveFile,
    *,
    wanted: Span = EVER,
    previous: Settlement | None = None,
    limit: int = CSV_LIMIT,
) -> Reading:
    """Tables of a zip; what ``file`` is comes from its name (:func:`parse_name`).

    Raises
    ------
    RefusedFileError
        With the reason in words.
    """
    csv = unpack(content, name=file.name, limit=limit)
    return read_csv(csv, file, wanted=wanted, previous=previous)


def read_csv(
    content: bytes,
    file: ArchiveFile,
    *,
    wanted: Span = EVER,
    previous: Settlement | None = None,
    now: int | None = None,
) -> Reading:
    """Tables of a CSV; what ``file`` is comes from its name (:func:`parse_name`).

    Raises
    ------
    RefusedFileError
        With the reason in words.
    """
    if file.dataset == "klines":
        return read_klines(content, interval=file.interval, period=file.period, wanted=wanted, now=now)
    if file.dataset == "fundingRate":
        return read_funding(content, period=file.period, wanted=wanted, previous=previous)
    if file.dataset == "metrics":
        return read_metrics(content, symbol=file.symbol, period=file.period, wanted=wanted)
    raise UsageError(f"{file.dataset!r} is no dataset of the archive", field="dataset")
