"""The public archive of Binance, or a mirror of it: monthly and daily zip files over HTTP.

Layout, reading of files, downloading, and the job that brings a symbol into a store.
"""

from features.sources.archive.fetching import fetch_symbol
from features.sources.archive.layout import ARCHIVE_URL, ArchiveFile, Period, parse_name
from features.sources.archive.news import symbols_with_news
from features.sources.archive.reading import (
    Reading,
    RefusedFileError,
    read_csv,
    read_funding,
    read_klines,
    read_metrics,
    read_zip,
    unpack,
)
from features.sources.archive.report import FetchReport, SkippedFile
from features.sources.archive.settings import ArchiveSettings

__all__ = [
    "ARCHIVE_URL",
    "ArchiveFile",
    "ArchiveSettings",
    "FetchReport",
    "Period",
    "Reading",
    "RefusedFileError",
    "SkippedFile",
    "fetch_symbol",
    "parse_name",
    "read_csv",
    "read_funding",
    "read_klines",
    "read_metrics",
    "read_zip",
    "symbols_with_news",
    "unpack",
]
