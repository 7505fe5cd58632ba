"""A zip gives its one CSV or is refused; its names never become paths."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.sources.archive import RefusedFileError, unpack

LONG = os.environ.get("BEARMODE_TIER") == "long"
EXAMPLES = 2000 if LONG else 60
NAME = "BTCUSDT-1h-2024-01-05"
CSV = b"\n".join(b"%d,100.1,103.3,99.9,101.5" % number for number in range(60))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a zip"),
        (b"<html></html>", "not a zip"),
        (zipped({}), "0 members"),
        (zipped({"a.csv": b"", "b.csv": b""}), "2 members"),
        (zipped({"a.exe": b""}), "no CSV"),
        (zipped({"../a.csv": b""}), "unsafe path"),
        (zipped({"/etc/a.csv": b""}), "unsafe path"),
        (zipped({"C:a.csv": b""}), "unsafe path"),
        (zipped({"..\\a.csv": b""}), "unsafe path"),
        (zipped({"folder/a.csv": b""}), "unsafe path"),
        (zipped({"folder/": b"", "a.csv": b""}), "unsafe path"),
        (zipped({".a.csv": b""}), "unsafe path"),
        (zipped({"ETHUSDT-1h-2024-01-05.csv": b""}), "another file"),
        (zipped({"BTCUSDT-1h-2024-01-06.csv": b""}), "another file"),
        (zipped({"a.csv": bytes(20_000)}), "too large"),
        (
            zipped({"a.csv": bytes(20_000)}).replace((20_000).to_bytes(4, "little"), bytes([9, 0, 0, 0])),
            "zip",
        ),
        (zipped({"a.csv": b"1"}, zipfile.ZIP_LZMA), "compression"),
        (zipped({"a.csv": b"abcdefgh" * 9}).replace(b"\x00\x00\x08\x00", b"\x01\x00\x08\x00"), "encrypted"),
    ],
)
def test_a_zip_that_is_not_one_plain_csv_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(RefusedFileError, match=reason):
        unpack(content, name=f"{NAME}.zip", limit=10_000)


def test_a_zip_cut_anywhere_is_refused() -> None:
    whole = zipped({f"{NAME}.csv": CSV})
    assert unpack(whole) == CSV
    for length in range(0, len(whole), 1 if LONG else 7):
        with pytest.raises(RefusedFileError, match="unreadable"):
            unpack(whole[:length])


@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_damaged_zip_is_refused_or_whole(data: st.DataObject) -> None:
    whole = bytearray(zipped({f"{NAME}.csv": CSV}))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RefusedFileError):
        assert unpack(bytes(whole)) == CSV
