"""MLflow on a server of its own, with its runs in PostgreSQL: found by MLflow's own variables alone."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from symbol_work import wait_until

pytestmark = pytest.mark.system


def programs() -> Path:
    """Folder of PostgreSQL's programs; Debian keeps them out of the path."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).is_file() for name in ("initdb", "postgres")):
            return place
    pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """URL of a PostgreSQL server without databases of its own; gone afterwards."""
    place = programs()
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no account 'postgres'")
        account = {"user": "postgres", "group": "postgres", "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="bearmode-postgresql-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        if account:
            shutil.chown(data, "postgres", "postgres")
            data.chmod(0o700)
        password = folder / "password"
        password.write_text("only-on-loopback\n")
        options = ["--auth", "scram-sha-256", "--pwfile", str(password), "--username", "bearmode"]
        subprocess.run(
            [str(place / "initdb"), "--pgdata", str(data), "--no-sync", *options],
            check=True,
            capture_output=True,
            cwd=folder,
            **account,
        )
        port = free_port()
        given = ["-h", "127.0.0.1", "-p", str(port), "-k", str(data), "-c", "fsync=off"]
        command = [str(place / "postgres"), "-D", str(data), *given]
        with running(command, folder / "postgres.log", cwd=folder, **account):
            url = f"postgresql://bearmode:only-on-loopback@127.0.0.1:{port}"
            wait_until(lambda: answers(f"{url}/postgres"), 60)
            yield url


def as_mlflow_reads(url: str) -> str:
    """The URL with the driver that is installed: without one SQLAlchemy takes another."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


def connected(url: str) -> Any:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(url, connect_timeout=5)
    connection.autocommit = True
    return connection


def answers(url: str) -> bool:
    import psycopg2

    try:
        connected(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    connection = connected(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A project of its own; MLflow's variables as they are given, and nothing else of it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "BEARMODE_"))
    }
    places = {f"BEARMODE_{name.upper()}": str(folder / name) for name in ("store", "bundles", "mlruns")}
    return {**kept, **places, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", **more}


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of an MLflow server and of its database."""
    asked(f"{database}/postgres", "CREATE DATABASE mlflow")
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", as_mlflow_reads(f"{database}/mlflow"), "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        try:
            with urlopen(f"{url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    with running(command, folder / "mlflow.log", cwd=folder, env=environment(folder)) as process:
        wait_until(lambda: process.poll() is not None or healthy(), 240)
        assert process.poll() is None, (folder / "mlflow.log").read_text()[-2000:]
        yield url, f"{database}/mlflow"


def bearmode(root: Path, folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, str(root / "bearmode.py"), *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_is_on_record_in_postgresql(server: tuple[str, str], root: Path, tmp_path: Path) -> None:
    url, database = server
    market = ("--source", "simulated", "--symbols", "SIMBTC,SIMETH", "--interval", "1d")
    bearmode(root, tmp_path, "train", *market, "--json", "result.json", MLFLOW_TRACKING_URI=url)
    result = json.loads((tmp_path / "result.json").read_text())
    run = result["run_id"]
    assert not (tmp_path / "mlruns" / "mlflow.db").exists(), "nothing is on record here"
    assert asked(database, f"SELECT status FROM runs WHERE run_uuid = '{run}'") == [("FINISHED",)]
    nested = f"SELECT count(*) FROM tags WHERE key = 'mlflow.parentRunId' AND value = '{run}'"
    assert asked(database, nested)[0][0] >= 2
    alias = "SELECT alias, version FROM registered_model_aliases WHERE name = 'bearmode'"
    assert asked(database, alias) == [("champion", int(result["registered_version"]))]
    with urlopen(f"{url}/api/2.0/mlflow/artifacts/list?run_id={run}&path=bundle", timeout=30) as answer:
        files = {Path(one["path"]).name for one in json.load(answer)["files"]}
    assert {"model.onnx", "manifest.json"} <= files
    again = bearmode(root, tmp_path, "journal", MLFLOW_TRACKING_URI=url)
    assert result["version"] in again


def test_a_database_may_be_named_without_a_server(database: str, root: Path, tmp_path: Path) -> None:
    asked(f"{database}/postgres", "CREATE DATABASE direct")
    code = (
        "from training.settings import Places; from training.tracking import open_tracker\n"
        "tracker = open_tracker(Places.load())\n"
        "with tracker.run('one') as run:\n    tracker.log_text(run, 'words', 'words.txt')\n"
        "print(tracker.text(run.info.run_id, 'words.txt'), run.info.artifact_uri)\n"
    )
    url = f"{database}/direct"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path, MLFLOW_TRACKING_URI=as_mlflow_reads(url), PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    words, where = done.stdout.split()[-2:]
    assert words == "words"
    assert where.startswith((tmp_path / "mlruns" / "artifacts").as_uri())
    assert asked(url, "SELECT name, status FROM runs") == [("one", "FINISHED")]
