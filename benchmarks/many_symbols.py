"""Features of many symbols: one process, processes, and a Dask cluster of two local workers.

The same store of simulated symbols (four years of hourly bars each), the same rows, the same bytes in
the end; symbols a second with the start of processes and workers' imports left in (``processes``) or
out (``dask``: its cluster was there before). Ratios are to one process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.results import options, report
from features.build import build_features
from features.parallel.symbol_tasks import default_workers
from features.sources.simulated import simulate
from features.store import Store

SYMBOLS = int(os.environ.get("BEARMODE_BENCH_SYMBOLS") or 24)


def fill(root: Path) -> None:
    """Write the symbols: the histories of four, under as many names as are wanted."""
    markets = list(simulate([f"SIM{letter}" for letter in "ABCD"]).markets.values())
    store = Store(root)
    with store.writing():
        for number in range(SYMBOLS):
            store.write(replace(markets[number % len(markets)], symbol=f"SIM{number:03d}"))


@contextmanager
def dask_cluster(workers: int) -> Iterator[str]:
    """Address of a scheduler on loopback with some workers of one thread each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    module, nowhere = "distributed.cli.dask_", subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as folder:
        scheduler = [f"{module}scheduler", "--host", "127.0.0.1", "--port", str(port)]
        worker = [f"{module}worker", address, "--no-nanny", "--nthreads", "1"]
        worker += ["--local-directory", folder, "--death-timeout", "30"]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", *command, "--no-dashboard"], stdout=nowhere, stderr=nowhere
            )
            for command in (scheduler, *[worker] * workers)
        ]
        try:
            yield address
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def seconds(out: Path, **given: Any) -> float:
    """Time of one build."""
    started = time.perf_counter()
    build_features(out=out, **given)
    return time.perf_counter() - started


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder, dask_cluster(2) as address:
        root = Path(folder) / "store"
        fill(root)
        outs = [Path(folder) / f"{name}.parquet" for name in ("one", "processes", "dask")]
        seconds(outs[2], store=root, scheduler=address, symbols="SIM000,SIM001,SIM002,SIM003")
        one = seconds(outs[0], store=root, workers=1)
        processes = seconds(outs[1], store=root)
        dask = seconds(outs[2], store=root, scheduler=address)
        figures = {
            "symbols": SYMBOLS,
            "cores": default_workers(),
            "one_process_symbols_per_s": SYMBOLS / one,
            "processes_symbols_per_s": SYMBOLS / processes,
            "dask_two_workers_symbols_per_s": SYMBOLS / dask,
            "processes_to_one": one / processes,
            "dask_two_workers_to_one": one / dask,
            "same_bytes": len({out.read_bytes() for out in outs}) == 1,
        }
    report("many_symbols", figures, arguments.json)


if __name__ == "__main__":
    main()
