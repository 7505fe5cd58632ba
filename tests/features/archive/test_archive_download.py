"""Asking and verifying: what passes is tried again, what is wrong is refused, nobody is hammered."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_host import FOREVER, Answer, Host, chunked, hang_up, serving, short, status, trickle

from features.errors import BearmodeError, UsageError
from features.sources.archive import ArchiveSettings, Period, RefusedFileError
from features.sources.archive.checksums import ask, parse_checksum
from features.sources.archive.client import ArchiveClient, FileFailedError
from features.sources.archive.downloads import Downloads, Mismatch, sha256
from features.sources.archive.layout import ArchiveFile


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as found:
        yield found


def get(settings: ArchiveSettings, path: str = "a", limit: int = 1000) -> bytes | None:
    async def once() -> bytes | None:
        async with ArchiveClient(settings) as client:
            return await client.get(path, limit)

    return asyncio.run(once())


@pytest.mark.parametrize(
    "answer", [status(500), status(503), short, hang_up], ids=["500", "503", "short", "hang_up"]
)
def test_what_passes_is_tried_again(host: Host, answer: Answer) -> None:
    host.bodies["a"] = b"whole"
    host.instead["a"] = [answer, answer]
    assert get(host.settings()) == b"whole"
    assert host.asked["a"] == 3
    FOREVER.add("a")
    host.instead["a"] = [answer]
    with pytest.raises(FileFailedError, match="3 tries"):
        get(host.settings())


@pytest.mark.parametrize("code", [403, 404, 410])
def test_what_is_not_there_is_none_at_once(host: Host, code: int) -> None:
    host.instead["a"] = [status(code)]
    assert get(host.settings()) is None
    assert host.asked["a"] == 1


def test_a_body_that_is_too_large_is_not_taken(host: Host) -> None:
    for answer in (status(200, {"Content-Length": "5000"}), chunked(bytes(5000))):
        host.instead["a"] = [answer]
        with pytest.raises(FileFailedError, match="too large"):
            get(host.settings())
    host.instead["a"] = [chunked(b"small")]
    assert get(host.settings()) == b"small"


def test_bytes_for_ever_end_at_the_time_for_a_whole_file(host: Host) -> None:
    host.instead["a"] = [trickle]
    started = time.monotonic()
    with pytest.raises(FileFailedError, match="no answer in time"):
        get(host.settings(attempts=1, timeout_seconds=0.1), limit=1 << 20)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("code", [418, 429])
def test_a_rate_limit_pauses_all_requests_and_fails_none(host: Host, code: int) -> None:
    for number in range(4):
        host.bodies[f"f{number}"] = b"x"
        host.instead[f"f{number}"] = [status(code, {"Retry-After": "1"})] * (1 if number else 4)

    async def all_of_them() -> list[bytes | None]:
        async with ArchiveClient(host.settings(attempts=1)) as client:
            return list(await asyncio.gather(*(client.get(f"f{number}", 9) for number in range(4))))

    host.instead["f0"] = host.instead["f0"][:1]
    assert asyncio.run(all_of_them()) == [b"x"] * 4
    gaps = np.diff(sorted(host.started))
    assert gaps.max() > 0.9
    assert len(host.started) == 8


def test_an_archive_that_only_says_wait_is_an_error(host: Host) -> None:
    FOREVER.add("a")
    host.instead["a"] = [status(429)]
    with pytest.raises(BearmodeError) as caught:
        get(host.settings())
    assert caught.value.code == "archive_rate_limited"


def test_no_archive_is_one_error_without_credentials() -> None:
    settings = ArchiveSettings(
        archive_url="http://name:secret@127.0.0.1:9/mirror", attempts=2, backoff_seconds=0.01
    )
    with pytest.raises(BearmodeError) as caught:
        get(settings)
    assert caught.value.code == "archive_unreachable"
    assert "127.0.0.1:9/mirror" in caught.value.one_line()
    assert "secret" not in caught.value.one_line()


def test_an_archive_where_everything_fails_is_given_up_soon(host: Host) -> None:
    paths = [f"f{number}" for number in range(30)]
    FOREVER.update(paths)
    host.instead = {path: [status(500)] for path in paths}

    async def one_after_the_other(client: ArchiveClient) -> None:
        for path in paths:
            with contextlib.suppress(FileFailedError):
                await client.get(path, 9)

    async def all_of_them() -> None:
        async with ArchiveClient(host.settings(attempts=1)) as client:
            await one_after_the_other(client)

    with pytest.raises(BearmodeError) as caught:
        asyncio.run(all_of_them())
    assert caught.value.code == "archive_unreachable"
    assert sum(host.asked.values()) == 8


def test_a_redirect_leads_to_http_only(host: Host) -> None:
    host.bodies["b"] = b"there"
    host.instead["a"] = [status(302, {"Location": "/b"})]
    assert get(host.settings()) == b"there"
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/a"):
        host.instead["a"] = [status(302, {"Location": target})]
        with pytest.raises(FileFailedError, match="redirect"):
            get(host.settings())


@pytest.mark.parametrize(
    "url", ["ftp://a.b", "data.binance.vision", "http://", "http://a b", "http://a?x=1", ""]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        ArchiveSettings(archive_url=url)
    assert caught.value.field == "archive_url"
    with pytest.raises(UsageError) as caught:
        ArchiveSettings(archive_url="ftp://name:secret@host/")
    assert "secret" not in caught.value.one_line()


FILE = ArchiveFile("BTCUSDT", "metrics", "", Period.parse("2024-01-05"))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"ab" * 31 + b"  " + FILE.name.encode(), b"ab" * 32, b"ab" * 32 + b"  ETHUSDT.zip"],
)
def test_a_checksum_that_is_none_or_of_another_file_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedFileError, match="checksum"):
        parse_checksum(body, FILE.name)
    assert parse_checksum(b"AB" * 32 + b" *" + FILE.name.encode() + b"\r\n", FILE.name) == "ab" * 32


def bring(host: Host, downloads: Downloads, digest: str) -> str | None:
    async def once() -> str | None:
        async with ArchiveClient(host.settings()) as client:
            return await downloads.bring(client, FILE, digest, 1 << 20)

    return asyncio.run(once())


def test_what_was_downloaded_and_is_whole_is_not_downloaded_again(host: Host, tmp_path: Path) -> None:
    digest = host.put(FILE, "x")
    assert bring(host, Downloads(tmp_path), digest) == digest
    (tmp_path / "other.zip.part").write_bytes(b"half of it")
    downloads = Downloads(tmp_path)
    assert bring(host, downloads, digest) == digest
    assert host.zips() == [FILE.name]
    assert not list(tmp_path.glob("*.part"))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"spoilt on the disk")
    assert bring(host, downloads, digest) == digest
    assert sha256(path.read_bytes()) == digest
    assert host.zips() == [FILE.name] * 2


def test_a_zip_that_is_exchanged_while_we_work_is_taken_with_its_new_checksum(
    host: Host, tmp_path: Path
) -> None:
    old = host.put(FILE, "old")
    new = host.put(FILE, "new")
    assert bring(host, Downloads(tmp_path), old) == new
    host.put(FILE, "newest", checksum="0" * 64)
    with pytest.raises(Mismatch, match="its CHECKSUM says 000000000000") as caught:
        bring(host, Downloads(tmp_path), "0" * 64)
    assert caught.value.sha256 == sha256(host.bodies[FILE.path])
    assert not (tmp_path / f"{FILE.name}.{caught.value.sha256}").exists()


def test_a_zip_without_checksum_is_refused_by_name(host: Host) -> None:
    host.put(FILE, "x")
    del host.bodies[f"{FILE.path}.CHECKSUM"]

    async def once() -> tuple[str, str]:
        async with ArchiveClient(host.settings()) as client:
            notice = await ask(client, FILE)
            return notice.status, notice.reason

    assert asyncio.run(once()) == ("refused", "checksum: there is no CHECKSUM file")
    assert host.zips() == []


def test_the_package_loads_no_network_library_until_it_fetches() -> None:
    words = "import sys, features.sources.archive; print(sorted({'aiohttp', 'tenacity'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
