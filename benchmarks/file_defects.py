"""Defects of whole files of a simulated archive: a correct store has nothing of such a file."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from functools import cache, partial

from benchmarks.archive_files import ArchiveFile, Defect, zipped

__all__ = [
    "FILE_DEFECTS",
    "absent",
    "bomb",
    "escaping_member",
    "garbage",
    "garbage_checksum",
    "html_page",
    "no_checksum",
    "no_member",
    "other_name_in_checksum",
    "other_table",
    "truncated",
    "two_members",
    "wrong_checksum",
]


def _spoil(file: ArchiveFile, defect: str, content: bytes | None = None) -> bytes:
    """Take the file's truth away; the zip as it would have been, or what stands in its place."""
    file.drop_all()
    file.expect_file("refused_file", defect)
    file.content = zipped({file.csv_name: file.csv()}) if content is None else content
    return file.content


def absent(file: ArchiveFile) -> None:
    """Publish neither zip nor checksum."""
    file.drop_all()
    file.expect_file("missing_file", "absent")
    file.absent = True


def wrong_checksum(file: ArchiveFile) -> None:
    """Give the checksum of other bytes."""
    content = _spoil(file, "wrong_checksum")
    name = file.path.rpartition("/")[2]
    file.checksum = f"{hashlib.sha256(content + b'!').hexdigest()}  {name}\n".encode()


def no_checksum(file: ArchiveFile) -> None:
    """Publish the zip without its checksum."""
    _spoil(file, "no_checksum")
    file.checksum = b""


def other_name_in_checksum(file: ArchiveFile) -> None:
    """Give the right checksum, for a file of another name."""
    content = _spoil(file, "other_name_in_checksum")
    file.checksum = f"{hashlib.sha256(content).hexdigest()}  DOGEUSDT-1h-2020-01.zip\n".encode()


def garbage_checksum(file: ArchiveFile) -> None:
    """Publish a checksum file that holds none."""
    _spoil(file, "garbage_checksum")
    file.checksum = b"<html><body>please log in</body></html>\n"


def truncated(file: ArchiveFile) -> None:
    """Lose the last third of the zip (and publish the checksum of what is left)."""
    content = _spoil(file, "truncated")
    file.content = content[: len(content) * 2 // 3]


def html_page(file: ArchiveFile) -> None:
    """Publish a web page under the zip's name, with the page's checksum."""
    _spoil(file, "html_page", b"<!doctype html><title>503</title><p>Back soon</p>" * 20)


def escaping_member(file: ArchiveFile, name: str = "../../evil.csv") -> None:
    """Name the member so that unpacking it would leave the folder."""
    _spoil(file, "escaping_member", zipped({name: file.csv()}))


def two_members(file: ArchiveFile) -> None:
    """Pack a second table beside the first."""
    _spoil(file, "two_members", zipped({file.csv_name: file.csv(), "extra.csv": file.csv()}))


def no_member(file: ArchiveFile) -> None:
    """Publish a zip with nothing in it."""
    _spoil(file, "no_member", zipped({}))


def garbage(file: ArchiveFile) -> None:
    """Pack bytes that are no table."""
    noise = random.Random(17).randbytes(4_000)
    _spoil(file, "garbage", zipped({file.csv_name: noise}))


def other_table(file: ArchiveFile) -> None:
    """Pack a table with other columns."""
    _spoil(file, "other_table", zipped({file.csv_name: b"a,b\n" + b"1,2\n" * 30}))


def bomb(file: ArchiveFile, *, megabytes: int = 640, honest: bool = True) -> None:
    """Pack so many zeros that they fit nowhere; not ``honest``: and declare a small member.

    The deflate stream repeats one flushed block, so that it is written in milliseconds.
    """
    stream, crc = _zeros(megabytes)
    size = megabytes << 20 if honest else 5_000
    name = file.csv_name.encode()
    fields = (8, 0, 0x5821, crc, len(stream), size, len(name), 0)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, *fields) + name
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, *fields, 0, 0, 0, 0, 0) + name
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), len(local) + len(stream), 0)
    _spoil(file, "bomb" if honest else "lying_bomb", local + stream + entry + end)


@cache
def _zeros(megabytes: int) -> tuple[bytes, int]:
    """A raw deflate stream of so many million zeros, and their checksum."""
    zeros = b"0" * (1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(megabytes):
        crc = zlib.crc32(zeros, crc)
    return block * megabytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush(), crc


FILE_DEFECTS: tuple[Defect, ...] = (
    *(absent, wrong_checksum, no_checksum, other_name_in_checksum, garbage_checksum, truncated, html_page),
    *(escaping_member, partial(escaping_member, name="/tmp/evil.csv"), two_members, no_member),
    *(partial(escaping_member, name="C:\\evil.csv"), garbage, other_table, bomb, partial(bomb, honest=False)),
)
"""One of each way in which a whole file can be of no use."""
