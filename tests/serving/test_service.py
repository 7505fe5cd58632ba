"""The service: in process with a stand-in predictor, and as a real process on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import service_fixtures as fixtures
from service_fixtures import FakePredictor, Served, free_port, make_bundle, request_body, running

from serving import service as service_module
from serving.finite import non_finite
from serving.server import serve

JSON = {"content-type": "application/json"}
SERVICE: Any = service_module.RegimeService
"""What the decorator makes of the class."""


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    content = answer.json()
    assert list(content) == ["error"]
    assert list(content["error"]) == ["code", "message", "field", "hint"]
    assert "Traceback" not in answer.text
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]
    found: dict[str, Any] = content["error"]
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    bundle = make_bundle(folder / "bundle")
    with running(folder / "log.txt", free_port(), bundle, folder / "bundles") as process:
        process.wait_for("/readyz", 200)
        yield process


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=15, trust_env=False) as client:
        yield client


# --- a real process ---------------------------------------------------------------------------


def test_an_answer_names_the_served_bundle(http: httpx.Client) -> None:
    answer = http.post("/v1/predict", json=request_body(), headers={"x-request-id": "mine"})
    assert answer.status_code == 200
    assert answer.json()["model"]["version"] == "v1"
    assert answer.json()["advice"]["short_share"] == 0.65
    assert answer.headers["x-request-id"] == "mine"


def test_gzip_gives_the_same_answer(http: httpx.Client) -> None:
    body = gzip.compress(json.dumps(request_body()).encode())
    answer = http.post("/v1/predict", content=body, headers=JSON | {"content-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.json()["symbol"] == "BTCUSDT"


def test_health_metrics_and_documents(http: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/"):
        assert http.get(path).status_code == 200
        assert http.head(path).status_code == 200
    assert "googletagmanager" not in http.get("/").text
    http.get("/no/such/path")
    metrics = http.get("/metrics").text
    assert 'endpoint="/v1/predict"' in metrics
    assert "/no/such/path" not in metrics
    document = http.get("/docs.json").json()
    assert document["info"]["title"] == "bearmode"
    answers = document["paths"]["/v1/predict"]["post"]["responses"]
    assert set(answers) >= {"200", "400", "413", "415", "422", "429", "503", "504"}
    for status, one in answers.items():
        assert ("components/responses" in str(one)) == (status != "200")
    assert {"ErrorBody", "ErrorDetail"} <= set(document["components"]["schemas"])
    assert "get" in document["paths"]["/v1/model"]
    schemas = document["components"]["schemas"]
    names = " ".join(schemas)
    for name in ("PredictRequest", "Answer", "Advice", "Survival"):
        assert name in names
    state = http.get("/v1/model").json()
    assert (state["ready"], state["version"], state["training"]) == (True, "v1", {"rows": 7})


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", JSON, 400, "not_json"),
        (b"{", JSON, 400, "not_json"),
        (json.dumps(request_body()).encode()[:-9], JSON, 400, "not_json"),
        (b'{"close": [NaN]}', JSON, 400, "not_json"),
        (b"[" * 1_000_000, JSON, 400, "not_json"),
        (b"\x00\xff" * 500, JSON, 400, "not_json"),
        (b"[]", JSON, 422, "invalid_request"),
        (b"null", JSON, 422, "invalid_request"),
        (json.dumps(request_body(bars=20_001)).encode(), JSON, 422, "invalid_request"),
        (json.dumps({"time": ["a"] * 400_000}).encode(), JSON, 422, "invalid_request"),
        (b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (b"\x80\x04.", {"content-type": "application/vnd.bentoml+pickle"}, 415, "unsupported_media_type"),
        (b"{}", JSON | {"content-encoding": "gzip"}, 400, "bad_gzip"),
        (gzip.compress(bytes(50_000_000)), JSON | {"content-encoding": "gzip"}, 413, "body_too_large"),
        (b"0" * 20_000_000, JSON, 413, "body_too_large"),
    ],
    ids=range(15),
)
def test_hostile_bodies_get_the_one_shape(
    http: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = http.post("/v1/predict", content=content, headers=headers)
    assert error_of(answer, status)["code"] == code
    assert http.post("/v1/predict", json=request_body()).status_code == 200


def test_a_streamed_body_without_a_length_is_stopped(http: httpx.Client) -> None:
    chunks = (b"0" * 100_000 for _ in range(200))
    assert error_of(http.post("/v1/predict", content=chunks, headers=JSON), 413)["code"] == "body_too_large"


def test_a_declared_length_is_answered_before_the_body(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 20000000\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


def test_rules_of_the_data_pass_through_with_their_field(http: httpx.Client) -> None:
    short = error_of(http.post("/v1/predict", json=request_body(bars=2)), 422)
    assert short == {
        "code": "bad_window",
        "message": "2 bars, expected at least 3",
        "field": "time",
        "hint": "send more bars",
    }
    times = request_body()["time"]
    unsorted = error_of(http.post("/v1/predict", json=request_body(time=[times[0], times[2], times[1]])), 422)
    assert unsorted["field"] == "time[2]"
    wrong = error_of(http.post("/v1/predict", json=request_body(close=[1, "x", 2])), 422)
    assert wrong["field"] == "close[1]"
    unknown = error_of(http.post("/v1/predict", json=request_body(closes=[])), 422)
    assert unknown["hint"] == "did you mean close?"


@pytest.mark.parametrize("symbol", ["BOOM", "NANANSWER"])
def test_a_failure_inside_is_a_500_without_its_text(http: httpx.Client, symbol: str) -> None:
    assert error_of(http.post("/v1/predict", json=request_body(symbol)), 500)["code"] == "internal"


def test_paths_and_methods(http: httpx.Client) -> None:
    assert error_of(http.get("/nowhere"), 404)["code"] == "not_found"
    assert error_of(http.post("/nowhere", content=b"x"), 404)["code"] == "not_found"
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = http.request(method, "/v1/predict")
        assert error_of(answer, 405)["code"] == "method_not_allowed"
        assert answer.headers["allow"] == "POST"
    head = http.head("/v1/predict")
    assert (head.status_code, head.content) == (405, b"")
    assert error_of(http.post("/v1/model", json={}), 405)["code"] == "method_not_allowed"


def test_live_mode_that_is_off_says_so(http: httpx.Client) -> None:
    assert error_of(http.get("/v1/events"), 404)["code"] == "live_off"
    assert error_of(http.get("/v1/events?since=3"), 422)["code"] == "unknown_parameter"
    assert http.get("/v1/live").json() == {"state": "off", "symbols": []}


def test_it_listens_on_loopback_only_and_says_where(served: Served) -> None:
    port = int(served.url.rsplit(":", 1)[1])
    family = [
        psutil.Process(served.process.pid),
        *psutil.Process(served.process.pid).children(recursive=True),
    ]
    listening = {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
    assert f"serving on {served.url}\n" in served.output()


def test_telemetry_is_off(served: Served) -> None:
    for process in psutil.Process(served.process.pid).children(recursive=True):
        assert process.environ()["BENTOML_DO_NOT_TRACK"] == "True"


def test_bad_requests_leave_no_traceback_in_the_log(http: httpx.Client, served: Served) -> None:
    before = len(served.output())
    http.post("/v1/predict", content=b"{", headers=JSON)
    http.post("/v1/predict", json=request_body(close=["x"] * 3))
    http.post("/v1/predict", json=request_body(bars=1))
    assert "Traceback" not in served.output()[before:]


def test_a_port_in_use_is_one_line_and_exit_1(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(served.url.rsplit(":", 1)[1])
    assert serve("127.0.0.1", port) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in err
    assert "--port" in err


@pytest.mark.parametrize(("host", "words"), [("example", "expected an IP address"), ("192.0.2.1", "--host")])
def test_a_host_that_cannot_be_listened_on_is_one_line(
    host: str, words: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEARMODE_ALLOW_OPEN", "true")
    assert serve(host, free_port()) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert words in err


def test_it_starts_without_a_bundle_follows_the_champion_and_ends_clean(tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    with running(tmp_path / "log.txt", free_port(), None, bundles) as process:
        not_ready = process.wait_for("/readyz", 503)
        assert "no model has been promoted" in error_of(not_ready, 503)["message"]
        assert not_ready.headers["retry-after"] == "5"
        assert httpx.get(f"{process.url}/livez", trust_env=False).status_code == 200
        answer = httpx.post(f"{process.url}/v1/predict", json=request_body(), trust_env=False)
        assert error_of(answer, 503)["code"] == "not_ready"
        assert int(answer.headers["retry-after"]) > 0
        state = httpx.get(f"{process.url}/v1/model", trust_env=False).json()
        assert (state["ready"], state["last_error"]["code"]) == (False, "no_champion")

        make_bundle(bundles / "abc", "abc")
        champion = {"version": "abc", "path": "abc", "hash": "abcdef", "previous": None}
        (bundles / "champion.json").write_text(json.dumps(champion))
        process.wait_for("/readyz", 200)

        family = psutil.Process(process.process.pid).children(recursive=True)
        assert len(family) >= 2
        # A request that is being answered when the end comes is still answered.
        with ThreadPoolExecutor(1) as pool:
            before = process.output().count("predictor is waiting")
            slow = pool.submit(
                httpx.post,
                f"{process.url}/v1/predict",
                json=request_body("SLOW"),
                timeout=15,
                trust_env=False,
            )
            process.wait_for_output("predictor is waiting", before + 1)
            seconds = process.stop()
            assert slow.result().status_code == 200
        assert seconds < 15
        assert process.process.returncode == 0
        assert [child for child in family if child.is_running()] == []
        assert "not ready: no verified bundle" in process.output()


def test_a_stuck_request_does_not_hold_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "log.txt", free_port(), make_bundle(tmp_path / "b"), tmp_path) as process:
        process.wait_for("/readyz", 200)
        family = psutil.Process(process.process.pid).children(recursive=True)
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(
                httpx.post,
                f"{process.url}/v1/predict",
                json=request_body("STUCK"),
                timeout=30,
                trust_env=False,
            )
            process.wait_for_output("predictor is waiting", 1)
            assert process.stop() < 15
            assert stuck.exception() is not None or stuck.result().status_code >= 500
        assert [child for child in family if child.is_running()] == []


# --- in process -------------------------------------------------------------------------------


@pytest.fixture
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    monkeypatch.setenv("BEARMODE_BUNDLE", str(make_bundle(tmp_path / "b")))
    monkeypatch.setenv("BEARMODE_THREADS", "1")
    monkeypatch.setenv("BEARMODE_MAX_CONCURRENCY", "1")
    monkeypatch.setenv("BEARMODE_TIMEOUT_SECONDS", "0.5")
    monkeypatch.setattr(service_module, "load_predictor", FakePredictor.load)
    fixtures.ENTERED.clear()
    fixtures.GO_ON.clear()
    yield
    fixtures.GO_ON.set()


@pytest.mark.usefixtures("_small")
def test_one_request_too_many_is_a_429_and_a_late_answer_a_504() -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response]:
        app = SERVICE.to_asgi()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            waiting = asyncio.create_task(client.post("/v1/predict", json=request_body("WAIT")))
            assert await asyncio.to_thread(fixtures.ENTERED.wait, 10)
            busy = await client.post("/v1/predict", json=request_body())
            late = await waiting
            fixtures.GO_ON.set()
            return busy, late

    busy, late = asyncio.run(ask())
    assert error_of(busy, 429)["code"] == "too_many_requests"
    assert int(busy.headers["retry-after"]) > 0
    assert error_of(late, 504)["code"] == "timeout"


@pytest.mark.usefixtures("_small")
def test_settings_reach_bentoml() -> None:
    SERVICE.to_asgi()
    assert SERVICE.config["threads"] == 1
    assert SERVICE.config["traffic"] == {"timeout": 0.5, "max_concurrency": 1}


def test_a_number_that_is_not_finite_is_found() -> None:
    assert non_finite({"a": [1.0, {"b": float("inf")}]}) == "answer.a[1].b"
    assert non_finite({"a": [1.0, None, "NaN", True]}) is None


def test_serving_imports_no_training_library() -> None:
    code = (
        "import sys, serving.service, serving.server, serving.predictor\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "bentoml" in loaded
    assert loaded & {"lightgbm", "sklearn", "onnxmltools", "skl2onnx", "mlflow", "training"} == set()


def test_importing_reads_no_environment(tmp_path: Path) -> None:
    (tmp_path / "bearmode.toml").write_text("[serving\n")
    environment = {"BEARMODE_PORT": "no port", "PATH": "", "HOME": str(tmp_path)}
    code = "import serving.service, serving.server"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
