"""A stand-in predictor, requests for it, and the service as a real process on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from pydantic import BaseModel, ConfigDict

from features.errors import BundleError, WindowError
from serving.schemas import Answer, PredictRequest

__all__ = ["ANSWER", "FakePredictor", "Served", "free_port", "request_body", "running"]

WINDOW = 3
HOUR = 3_600_000
START = 1_704_067_200_000
ROOT = Path(__file__).resolve().parents[2]
ENTERED = threading.Event()
"""Set when a request for the symbol WAIT has reached the predictor."""
GO_ON = threading.Event()
"""Lets it answer."""

ANSWER: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "as_of": "2024-01-01T00:00:00Z",
    "valid_until": "2024-01-01T01:00:00Z",
    "regime": "bear",
    "since": "2024-01-01T00:00:00Z",
    "since_at_least": False,
    "flips": [],
    "probabilities": {"bear": 0.7, "ranging": 0.1, "relief_rally": 0.1, "bull": 0.1},
    "prediction_set": ["bear"],
    "advice": {
        "side": "short",
        "short_share": 0.65,
        "size_factor": 1.0,
        "leverage": 2.5,
        "leverage_short": 2.5,
        "leverage_long": 1.5,
        "leverage_cap": 5.0,
        "survival": {
            "level": 0.995,
            "horizon_days": 7,
            "adverse_excursion": 0.2,
            "liquidation_price": None,
            "worst_liquidation_price": None,
        },
        "calculation": [],
        "haircuts": [],
        "tranches": [],
        "stop_price": None,
        "target_price": None,
        "notional": None,
        "margin": None,
        "funding_per_day": None,
        "position": None,
    },
    "signals": [],
    "agreeing": 0,
    "available": 0,
    "effective_signals": None,
    "novelty": None,
    "degraded": [],
    "model": {
        "version": "fake",
        "run_id": None,
        "trained_until": "2023-12-31T00:00:00Z",
        "age_days": 1.0,
        "state": "fresh",
        "data_source": "simulated",
    },
    "reasons": [],
}


class FakeManifest(BaseModel):
    """As much of a manifest as the service looks at."""

    model_config = ConfigDict(extra="allow")

    window_bars: int = WINDOW


class FakePredictor:
    """Answers by rules that a test can foresee; the symbol chooses the misbehaviour."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.manifest = FakeManifest.model_validate({"training": {"rows": 7}, "metrics": {"oos/ece": 0.02}})
        self.run: BaseModel | None = None

    @classmethod
    def load(cls, folder: Path) -> FakePredictor:
        try:
            version = (folder / "manifest.json").read_text()
        except FileNotFoundError as error:
            raise BundleError(f"{folder.name} has no manifest.json") from error
        if version == "broken":
            raise BundleError("golden row 3 differs by 0.2", hint="retrain")
        if version == "crash":
            raise RuntimeError("secret of the loader")
        return cls(version)

    def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:
        if request.symbol == "BOOM":
            raise RuntimeError("secret of the predictor")
        if request.symbol == "WAIT":
            ENTERED.set()
            GO_ON.wait(20)
        if request.symbol in {"SLOW", "STUCK"}:
            print("predictor is waiting", flush=True)
            # Work that takes a while, or that never ends.
            threading.Event().wait(1.0 if request.symbol == "SLOW" else 600)
        if len(request.time) < WINDOW:
            raise WindowError(
                f"{len(request.time)} bars, expected at least {WINDOW}", field="time", hint="send more bars"
            )
        for i, (earlier, later) in enumerate(zip(request.time, request.time[1:], strict=False), start=1):
            if later <= earlier:
                raise WindowError(f"time[{i}] is not after time[{i - 1}]", field=f"time[{i}]")
        answer = json.loads(json.dumps(ANSWER))
        answer["symbol"] = request.symbol
        answer["model"]["version"] = self.version
        answer["as_of"] = now.isoformat()
        if request.symbol == "NANANSWER":
            answer["advice"]["leverage"] = float("nan")
        return Answer.model_validate(answer)


def request_body(symbol: str = "BTCUSDT", bars: int = WINDOW, **changes: Any) -> dict[str, Any]:
    """A request that is right but for the changes."""
    body: dict[str, Any] = {"symbol": symbol, "time": [START + i * HOUR for i in range(bars)]}
    body |= {name: [1.5] * bars for name in ("open", "high", "low", "close", "volume")}
    return body | changes


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_bundle(folder: Path, version: str = "v1") -> Path:
    """A folder that the stand-in can load."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(version)
    return folder


@dataclass
class Served:
    """The command that serves, as a process."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def output(self) -> str:
        """All that it printed."""
        return self.log.read_text()

    def wait_for(self, path: str, status: int, seconds: float = 40.0) -> httpx.Response:
        """Ask until the status is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output()
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(f"{self.url}{path}", timeout=5, trust_env=False)
                if answer.status_code == status:
                    return answer
        raise AssertionError(f"{path} did not answer {status}: {self.output()}")

    def wait_for_output(self, text: str, times: int, seconds: float = 20.0) -> None:
        """Read until the text has been printed so often."""
        deadline = time.monotonic() + seconds
        while self.output().count(text) < times:
            assert time.monotonic() < deadline, self.output()

    def stop(self) -> float:
        """Ask it to end; the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)
        return time.monotonic() - began


@contextlib.contextmanager
def running(log: Path, port: int, bundle: Path | None, bundles: Path) -> Iterator[Served]:
    """The service with the stand-in, started by the function behind ``bearmode serve``."""
    code = (
        "import sys; from pathlib import Path; from serving.server import serve\n"
        f"sys.exit(serve('127.0.0.1', {port}, {bundle and str(bundle)!r} and Path({str(bundle)!r}), "
        f"Path({str(bundles)!r}), service='fake_service:RegimeService'))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=out, stderr=out, env=environment, text=True, cwd=log.parent
        )
        try:
            yield Served(process, f"http://127.0.0.1:{port}", log)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=20)
