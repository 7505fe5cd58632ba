"""The error of a file that gives no row."""

from __future__ import annotations

from features.errors import DataError

__all__ = ["RefusedFileError"]


class RefusedFileError(DataError):
    """A file of the archive that cannot be trusted or read; its message is the reason, in words."""

    default_code = "refused_file"
