"""The Bento: built, unpacked, installed into an environment of its own, and served from there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from small_training import Trained, small_histories

from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.window import window_request

pytestmark = pytest.mark.system

NOT_SERVED = ("lightgbm", "sklearn", "mlflow", "onnxmltools", "skl2onnx", "optuna", "training", "bearmode")


def quiet(command: list[str], **options: Any) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return str(done.stdout)


@pytest.fixture(scope="module")
def bento(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the unpacked Bento."""
    work = tmp_path_factory.mktemp("bento")
    environment = os.environ | {"BENTOML_HOME": str(work / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    tool = [sys.executable, "-m", "bentoml"]
    built = quiet([*tool, "build", "--output", "tag"], cwd=root, env=environment)
    found = re.search(r"bearmode:[a-z0-9]+", built)
    assert found, built
    packed = work / "bearmode.bento"
    quiet([*tool, "export", found.group(), str(packed)], env=environment)
    unpacked = work / "unpacked"
    with tarfile.open(packed) as tar:
        tar.extractall(unpacked, filter="data")
    return unpacked


@pytest.fixture(scope="module")
def python(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a new environment with what the Bento asks for."""
    place = tmp_path_factory.mktemp("image") / "venv"
    quiet([sys.executable, "-m", "venv", str(place)])
    python = place / "bin" / "python"
    done = subprocess.run(
        [*(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
         *("--require-hashes", "-r", str(bento / "env" / "python" / "requirements.txt"))],
        capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    if done.returncode and "Could not find a version" in done.stderr:
        pytest.skip(f"no package registry: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]
    return python


def test_it_holds_the_service_and_nothing_else(bento: Path) -> None:
    files = [path.relative_to(bento / "src") for path in (bento / "src").rglob("*") if path.is_file()]
    assert {path.parts[0] for path in files} == {"features", "serving", "LICENSE", "bentofile.yaml"}
    assert not [path for path in files if "__pycache__" in path.parts or path.suffix in {".pyc", ".onnx"}]
    assert {Path("serving/tiers.json"), Path("serving/__main__.py")} <= set(files)
    requirements = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "--hash=sha256:" in requirements
    assert not re.search(r"^(lightgbm|scikit-learn|mlflow)", requirements, re.MULTILINE)


def test_the_recipe_of_the_image(bento: Path) -> None:
    recipe = (bento / "env" / "docker" / "Dockerfile").read_text()
    lines = [line for line in recipe.splitlines() if line and not line.startswith("#")]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1] == "bentoml"
    assert 'CMD ["python", "-m", "serving"]' in lines
    homes = [line for line in lines if line.startswith("ENV BENTOML_HOME=")]
    assert homes[-1] == "ENV BENTOML_HOME=/tmp/bentoml"
    assert "ENV BENTOML_DO_NOT_TRACK=$BENTOML_DO_NOT_TRACK" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert any(line.startswith("FROM python:3.11-slim") for line in lines)
    assert "build-essential" not in recipe


def test_what_trains_is_not_there(bento: Path, python: Path) -> None:
    code = (
        "import importlib.util as u, sys; "
        f"print([name for name in {NOT_SERVED!r} if u.find_spec(name) is not None])"
    )
    environment = {"PYTHONPATH": str(bento / "src"), "PATH": os.environ["PATH"]}
    assert quiet([str(python), "-c", code], env=environment, cwd=bento).strip() == "[]"
    quiet([str(python), "-m", "pip", "check"])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(bento: Path, python: Path, work: Path, port: int) -> Iterator[str]:
    """The Bento as its image runs it: through the entry point, with only a temporary folder to write to."""
    temporary = work.parent / "tmp"
    temporary.mkdir()
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(bento / "src"),
        "BENTO_PATH": str(bento),
        "BENTOML_HOME": str(temporary / "bentoml"),
        "HOME": str(work / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BEARMODE_PORT": str(port),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(temporary),
    }
    entry = ["bash", str(bento / "env" / "docker" / "entrypoint.sh"), "python", "-m", "serving"]
    log = work.parent / "service.log"
    with log.open("w") as out:
        process = subprocess.Popen([*powerless(), *entry], cwd=work, env=environment, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
    raise AssertionError(log.read_text()[-3000:])


def write_protected(folder: Path) -> None:
    """Take away every right to write below a folder, as a read-only root does."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def powerless() -> list[str]:
    """Prefix that takes root's right to write to what is protected; other users do not have it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root without setpriv (util-linux): nothing would be write-protected")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def test_it_answers_as_the_checkout_does(bento: Path, python: Path, trained: Trained, tmp_path: Path) -> None:
    work = tmp_path / "srv"
    shutil.copytree(trained.places.bundles, work / "bundles")
    for place in (bento, work):
        write_protected(place)
    predictor = Predictor.load(trained.bundle)
    bars = predictor.manifest.window_bars
    with served(bento, python, work, free_port()) as url:
        model = httpx.get(f"{url}/v1/model", trust_env=False).json()
        assert model["version"] == predictor.version
        for history in small_histories():
            body = window_request(history.window(len(history) - 1, bars))
            body["as_of"] = body["time"][-1]
            answer = httpx.post(f"{url}/v1/predict", json=body, timeout=30, trust_env=False)
            assert answer.status_code == 200, answer.text
            expected = predictor.predict(PredictRequest.model_validate(body), now=pd.Timestamp.now(tz="UTC"))
            assert answer.json() == json.loads(expected.model_dump_json())
        metrics = httpx.get(f"{url}/metrics", trust_env=False)
        assert "bentoml_service_request_total" in metrics.text or "bearmode_" in metrics.text
