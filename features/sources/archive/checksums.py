"""What the archive says of a file before a byte of it is taken: its SHA-256, or that it is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from features.sources.archive.client import ArchiveClient, FileFailedError
from features.sources.archive.layout import ArchiveFile
from features.sources.archive.refused import RefusedFileError

__all__ = ["Notice", "ask", "parse_checksum"]

_LIMIT = 4096
_LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(\S+)")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is known of a file.

    Attributes
    ----------
    status : {"found", "missing", "refused"}
    sha256 : str
        Of a file that was found: what the archive says it is.
    reason : str
        Why it is missing or refused.
    asked : bool
        Whether the archive was asked in this run.
    """

    status: Literal["found", "missing", "refused"]
    sha256: str = ""
    reason: str = ""
    asked: bool = True


async def ask(client: ArchiveClient, file: ArchiveFile) -> Notice:
    """Ask for the checksum of a file; a file without one cannot be verified and is refused.

    Raises
    ------
    BearmodeError
        If the archive as a whole cannot be asked.
    """
    try:
        body = await client.get(f"{file.path}.CHECKSUM", _LIMIT)
        if body is None:
            if await client.exists(file.path):
                return Notice("refused", reason="checksum: there is no CHECKSUM file")
            return Notice("missing", reason="not in the archive")
        return Notice("found", parse_checksum(body, file.name))
    except FileFailedError as error:
        return Notice("refused", reason=str(error))
    except RefusedFileError as error:
        return Notice("refused", reason=error.message)


def parse_checksum(body: bytes, name: str) -> str:
    """SHA-256 that a ``CHECKSUM`` file gives for a zip, lower case.

    Raises
    ------
    RefusedFileError
        If it is none, or of another file.

    Examples
    --------
    >>> parse_checksum(b"ab" * 32 + b"  BTCUSDT-1h-2024-01.zip", "BTCUSDT-1h-2024-01.zip")[:6]
    'ababab'
    """
    found = _LINE.fullmatch(body.decode("ascii", errors="replace").strip())
    if found is None:
        raise RefusedFileError("checksum: the CHECKSUM file is none")
    if found[2] != name:
        raise RefusedFileError(f"checksum: the CHECKSUM file is of {found[2][:80]}")
    return found[1].lower()
