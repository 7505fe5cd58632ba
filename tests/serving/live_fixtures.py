"""The real command ``bearmode serve`` as a process, with real bundles."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from service_fixtures import ROOT, Served, free_port

from features.json_file import write_json
from serving.bundle import Champion
from serving.predictor import Predictor

__all__ = ["install", "make_champion", "served", "workers"]


def install(bundle: Path, bundles: Path) -> Predictor:
    """Copy a bundle under its version, as promotion does."""
    found = Predictor.load(bundle)
    if not (bundles / found.version).is_dir():
        shutil.copytree(bundle, bundles / found.version)
    return found


def make_champion(bundles: Path, predictor: Predictor) -> None:
    """Replace ``champion.json``, whole."""
    named = Champion(version=predictor.version, path=predictor.version, hash=predictor.bundle.hash)
    write_json(bundles / "champion.json", named.model_dump())


@contextlib.contextmanager
def served(
    folder: Path, *options: str, settings: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Served]:
    """``bearmode serve`` in a folder of its own; settings are ``BEARMODE_*`` without that beginning."""
    port = free_port() if port is None else port
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment |= {f"BEARMODE_{name}": value for name, value in (settings or {}).items()}
    command = [sys.executable, "-m", "bearmode", "serve", "--port", str(port), *options]
    log = folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, text=True, cwd=folder)
        try:
            yield Served(process, f"http://127.0.0.1:{port}", log)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=20)


def workers(served: Served) -> list[psutil.Process]:
    """The processes that answer: those that hold a model."""
    found = []
    for one in psutil.Process(served.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie, which is one
            if "_bentoml_impl.worker.service" in " ".join(one.cmdline()):
                found.append(one)
    return found
