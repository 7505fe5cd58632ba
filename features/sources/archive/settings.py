"""Settings of the archive source."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from features.errors import UsageError
from features.sources.archive.layout import ARCHIVE_URL
from features.sources.archive.zips import CSV_LIMIT

__all__ = ["ArchiveSettings"]


class ArchiveSettings(BaseModel):
    """How the archive, or a mirror of it, is asked.

    Raises
    ------
    UsageError
        For an address that is none; pydantic's own error for the other settings.

    Examples
    --------
    >>> ArchiveSettings(archive_url="http://127.0.0.1:8000/mirror/").archive_url
    'http://127.0.0.1:8000/mirror'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive_url: str = ARCHIVE_URL
    """Address below which ``data/futures/um`` lies; http or https."""
    connections: int = Field(16, ge=1, le=256)
    """Requests at once, of one symbol."""
    attempts: int = Field(5, ge=1, le=20)
    """Tries of one file."""
    timeout_seconds: float = Field(30.0, gt=0, le=3600)
    """Longest wait for a connection or for the next bytes; a whole file may take four times as long."""
    backoff_seconds: float = Field(0.5, ge=0, le=60)
    """Longest wait before the second try; it doubles with each further one, up to 30 s."""
    recheck_files: int = Field(300, ge=0)
    """Most files of a symbol that are asked again in a run: was one revised, is a missing one there?"""
    recheck_all: bool = False
    """Ask all of them again, and download refused ones again."""
    zip_limit: int = Field(16 << 20, ge=1)
    """Bytes; a larger zip is refused."""
    csv_limit: int = Field(CSV_LIMIT, ge=1)
    """Bytes; a larger CSV is refused."""

    @field_validator("archive_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        shown = re.sub(r"//[^/@]*@", "//", url)
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or any(mark.isspace() or not mark.isprintable() for mark in url):
            raise UsageError(
                f"archive_url is {shown!r}, expected an http or https address such as {ARCHIVE_URL}",
                field="archive_url",
            )
        if parts.query or parts.fragment:
            raise UsageError(f"archive_url is {shown!r}: it must end before '?' and '#'", field="archive_url")
        return url.rstrip("/")
