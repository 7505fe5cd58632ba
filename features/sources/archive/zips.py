"""The one CSV in a zip of the archive, or the reason why it is refused."""

from __future__ import annotations

import io
import zipfile
import zlib

from features.sources.archive.layout import parse_name
from features.sources.archive.refused import RefusedFileError

__all__ = ["CSV_LIMIT", "unpack"]

CSV_LIMIT = 64 << 20
"""Bytes; a month of hourly bars has 0.1 million, a day of metrics 30 thousand."""
_ENCRYPTED = 0x1


def unpack(content: bytes, *, name: str = "", limit: int = CSV_LIMIT) -> bytes:
    """Bytes of the only CSV in a zip; nothing is written to disk.

    Parameters
    ----------
    content : bytes
        The zip file.
    name : str, optional
        Its name: a member that bears the name of another file of the archive is refused.
    limit : int
        Most bytes the CSV may have, by its directory and in fact.

    Raises
    ------
    RefusedFileError
        With the reason: no zip, truncated, damaged, several members, a path in the member's name,
        too large, encrypted.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = _only_member(archive.infolist(), name)
            if member.file_size > limit:
                raise RefusedFileError(f"too large: {member.file_size:,} bytes unpacked, at most {limit:,}")
            with archive.open(member) as stream:
                found = stream.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        words = "truncated or damaged zip" if content[:2] == b"PK" else "not a zip file"
        raise RefusedFileError(f"unreadable: {words} ({error})") from error
    except (NotImplementedError, RuntimeError) as error:
        raise RefusedFileError(f"unreadable: {error}") from error
    if len(found) > limit:
        raise RefusedFileError(f"too large: more than {limit:,} bytes unpacked")
    return found


def _only_member(members: list[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    for member in members:
        # ``filename`` has its separators normalised; what the file really says is ``orig_filename``.
        inside = member.orig_filename
        if any(mark in inside for mark in ("/", "\\", ":", "\0")) or inside.startswith(".") or not inside:
            raise RefusedFileError(f"unsafe path: member {inside[:80]!r} is no plain file name")
    if len(members) != 1:
        raise RefusedFileError(f"unreadable: holds {len(members)} members, expected one CSV")
    member = members[0]
    if not member.filename.lower().endswith(".csv"):
        raise RefusedFileError(f"unreadable: member {member.filename[:80]!r} is no CSV")
    if member.flag_bits & _ENCRYPTED:
        raise RefusedFileError("unreadable: encrypted")
    # Other methods may ask for gigabytes of memory before the first byte.
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise RefusedFileError(f"unreadable: compression method {member.compress_type}")
    claimed, expected = parse_name(member.filename), parse_name(name)
    if claimed is not None and expected is not None and claimed != expected:
        raise RefusedFileError(f"another file: it holds {member.filename}")
    return member
