"""The command ``demo``: simulated market to served answer, the main job from end to end."""

from __future__ import annotations

import json as json_module
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import typer

from features.errors import BearmodeError
from features.history import History
from features.sources import load_simulated
from features.sources.simulated import SIMULATED_SYMBOLS
from features.store import Store
from serving.bundle import champion, champion_folder, write_json
from serving.predictor import Predictor
from serving.schemas import Answer
from serving.window import window_request
from training.pipeline import train
from training.progress import step_progress
from training.settings import Places
from training.train import show
from training.words import read_out

__all__ = ["run_demo"]

READY_SECONDS = 90.0


def run_demo(places: Places, json: Path | None = None) -> None:
    """Run the main job on a simulated market and print the served answer.

    A champion that was trained on real data stays: the demo then serves its own bundle once.

    Raises
    ------
    BearmodeError
        If a step fails; what was there before is left as it was.
    """
    typer.echo(f"1. Simulated market: {', '.join(SIMULATED_SYMBOLS)}, hourly, 2021 to 2024")
    markets = load_simulated(list(SIMULATED_SYMBOLS))
    store = Store(places.store)
    with store.writing():
        for market in markets:
            typer.echo(f"   {market.symbol}: {store.write(market):,} bars in {places.store}")
    typer.echo("2. Training: features, hindsight regimes, purged walk-forward, ONNX, registry")
    take_over = _may_take_over(places)
    with step_progress() as progress:
        histories = [History.from_raw(store.read(name, "1h")) for name in SIMULATED_SYMBOLS]
        result = train(histories, places, promote_it=take_over, progress=progress)
    show(result)
    typer.echo("3. Serving: one request over HTTP")
    predictor = Predictor.load(result.bundle)
    history = histories[0]
    window = history.window(len(history) - 1, predictor.manifest.window_bars)
    with serving(result.bundle) as address:
        typer.echo(f"   POST {address}/v1/predict with {len(window):,} bars of {window.symbol}")
        response = httpx.post(
            f"{address}/v1/predict", json=window_request(window), timeout=30.0, trust_env=False
        )
    if response.status_code != 200:
        raise BearmodeError(f"the service answered {response.status_code}: {response.text[:300]}")
    body = response.json()
    typer.echo(json_module.dumps(body, indent=2))
    typer.echo("4. In words")
    for line in read_out(Answer.model_validate(body)):
        typer.echo(line)
    typer.echo("The service is stopped. Next:")
    serve = "serve" if take_over else f"serve --bundle {result.bundle}"
    typer.echo(f"   .venv/bin/bearmode {serve}      serve the model on http://127.0.0.1:3000")
    typer.echo("   .venv/bin/bearmode ui         compare experiments in MLflow on http://127.0.0.1:5000")
    if json is not None:
        write_json(json, body)


def _may_take_over(places: Places) -> bool:
    """Whether the simulated model may become the champion: never in place of a real one."""
    found = champion(places.bundles)
    if found is None:
        return True
    try:
        manifest = json_module.loads((champion_folder(places.bundles) / "manifest.json").read_bytes())
        simulated = bool(manifest["data_source"] == "simulated")
    except (OSError, ValueError, KeyError, TypeError):
        simulated = False
    if not simulated:
        typer.echo(f"   the champion {found.version} was not trained on simulated data and stays")
    return simulated


@contextmanager
def serving(bundle: Path) -> Iterator[str]:
    """Serve a bundle on a free loopback port while the block runs; gives the address.

    Raises
    ------
    BearmodeError
        If the service is not ready in time, with what it printed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bearmode", "serve", "--port", str(port), "--bundle", str(bundle)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _ready(address):
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                output, _ = child.communicate()
                raise BearmodeError(f"the service did not become ready: {output.strip()[-500:]}")
            time.sleep(0.1)
        yield address
    finally:
        child.terminate()
        child.communicate()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
