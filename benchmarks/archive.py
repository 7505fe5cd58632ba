"""Archive to store: 5 symbols x 4 years of klines, funding and metrics from a server on loopback.

The archive (7,785 zips, as many checksums; :mod:`benchmarks.simulated_archive`) is served by a process
of its own. Measured, each as wall time:

``disk``
    every zip read from disk, held against its checksum and parsed by the project's own ``read_zip``,
    one after the other in one process, with no store and no network: what the figure to reach compares with;
``http``
    the same over HTTP with the project's own client, 16 requests at once, in one process, still no store;
``fetch``
    ``bearmode fetch`` as a user starts it, the start of Python and a process for each core included;
``fetch_one_process``
    the same with ``--workers 1``;
``second``
    ``bearmode fetch`` once more, with nothing new: every file is there, the newest checksums are asked again.

``cpu_s`` is the processor time of all its processes, which a busy machine does not stretch; ``peak_mb`` the
resident memory of all its processes added up (pages that they share count twice).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.faulty_server import FaultyServer, serving
from benchmarks.results import options, report
from benchmarks.simulated_archive import Listing, SimulatedArchive
from features.sources.archive.checksums import ask
from features.sources.archive.client import ArchiveClient
from features.sources.archive.layout import ArchiveFile, parse_name
from features.sources.archive.reading import read_zip
from features.sources.archive.settings import ArchiveSettings
from features.store import Store

SYMBOLS = {f"{coin}USDT": Listing(f"SIM{coin}") for coin in ("BTC", "ETH", "SOL", "BNB", "DOGE")}
SINCE, UNTIL = "2021-01-01", "2025-01-01"


def parsed(path: str) -> ArchiveFile:
    """What a path of the archive says."""
    file = parse_name(path.rpartition("/")[2])
    if file is None:
        raise ValueError(f"{path} is no path of the archive")
    return file


def from_disk(folder: Path, paths: list[str]) -> Counter[str]:
    """Read, verify and parse every zip; rows by kind."""
    rows: Counter[str] = Counter()
    for path in paths:
        content = (folder / path).read_bytes()
        expected = (folder / f"{path}.CHECKSUM").read_text(encoding="ascii").split()[0]
        if hashlib.sha256(content).hexdigest() != expected:
            raise ValueError(f"{path} is not what its checksum says")
        rows += rows_of(content, path)
    return rows


def over_http(url: str, paths: list[str]) -> Counter[str]:
    """Download, verify and parse every zip; rows by kind."""
    rows: Counter[str] = Counter()
    settings = ArchiveSettings(archive_url=url)

    async def work(waiting: list[str], client: ArchiveClient) -> None:
        while waiting:
            path = waiting.pop()
            notice = await ask(client, parsed(path))
            content = await client.get(path, settings.zip_limit)
            if content is None or hashlib.sha256(content).hexdigest() != notice.sha256:
                raise ValueError(f"{path} is not what its checksum says")
            rows.update(rows_of(content, path))

    async def all_of_them() -> None:
        waiting = paths[::-1]
        async with ArchiveClient(settings) as client:
            await asyncio.gather(*(work(waiting, client) for _ in range(settings.connections)))

    asyncio.run(all_of_them())
    return rows


def rows_of(content: bytes, path: str) -> Counter[str]:
    """Parse a zip and count."""
    reading = read_zip(content, parsed(path))
    return Counter({kind: len(next(iter(table.values()))) for kind, table in reading.tables.items()})


class Cost(NamedTuple):
    """What a piece of work took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float = 0.0


def fetched(server: FaultyServer, store: Path, *more: str) -> Cost:
    """Run ``bearmode fetch`` as a process, to its end."""
    command = [
        *(sys.executable, "-m", "bearmode", "fetch", "--source", "archive", "--archive-url", server.url),
        *("--symbols", ",".join(SYMBOLS), "--since", SINCE, "--until", UNTIL, "--store", str(store), *more),
    ]
    started, before, peak = time.perf_counter(), _children_cpu(), 0
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1], stdout=subprocess.DEVNULL)
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, _memory(tree))
        time.sleep(0.05)
    if process.returncode != 0:
        raise RuntimeError(f"bearmode fetch ended with {process.returncode}")
    return Cost(time.perf_counter() - started, _children_cpu() - before, peak / 1e6)


def _children_cpu() -> float:
    """Processor seconds of the children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in (tree, *tree.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended between the listing and the look
    return total


def timed(work: Callable[[], Counter[str]]) -> tuple[Cost, Counter[str]]:
    """Cost of a piece of work in this process, and its rows."""
    started, before = time.perf_counter(), time.process_time()
    rows = work()
    return Cost(time.perf_counter() - started, time.process_time() - before), rows


def _figures(**costs: Cost) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, cost in costs.items():
        found |= {f"{name}_s": cost.seconds, f"{name}_cpu_s": cost.cpu_seconds}
        if cost.peak_mb:
            found[f"{name}_peak_mb"] = cost.peak_mb
    return found


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = SimulatedArchive(folder / "archive", SYMBOLS, since=SINCE, until=UNTIL)
        paths = [path for files in archive.files.values() for path in sorted(files)]
        with serving(archive.folder) as server:
            disk, rows = timed(lambda: from_disk(archive.folder, paths))
            http, rows_http = timed(lambda: over_http(server.url, paths))
            if rows != rows_http:
                raise ValueError(f"{rows} on disk, {rows_http} over HTTP")
            one_process = fetched(server, folder / "one", "--workers", "1")
            fetch = fetched(server, folder / "store")
            server.forget()
            second = fetched(server, folder / "store")
            again = sum(server.asked().values())
        store = Store(folder / "store")
        states = [state for symbol in SYMBOLS if (state := store.state(symbol)) is not None]
        held = sum(kind.rows for state in states for kind in state.kinds.values())
        size = sum(path.stat().st_size for path in (folder / "store").rglob("*.parquet"))
    figures = {
        "zips": len(paths),
        "rows_read": sum(rows.values()),
        "rows_by_kind": json.dumps(dict(sorted(rows.items()))),
        "rows_in_store": held,
        "store_mb": size / 1e6,
        **_figures(disk=disk, http=http, fetch=fetch, fetch_one_process=one_process, second=second),
        "fetch_rows_per_s": sum(rows.values()) / fetch.seconds,
        "fetch_over_disk": fetch.seconds / disk.seconds,
        "fetch_over_http": fetch.seconds / http.seconds,
        "fetch_one_process_over_disk": one_process.seconds / disk.seconds,
        "fetch_one_process_over_http": one_process.seconds / http.seconds,
        "fetch_one_process_over_disk_cpu": one_process.cpu_seconds / disk.cpu_seconds,
        "fetch_one_process_over_http_cpu": one_process.cpu_seconds / http.cpu_seconds,
        "zips_downloaded_by_second": again,
    }
    report("archive", figures, arguments.json)


if __name__ == "__main__":
    main()
