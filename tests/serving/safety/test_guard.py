"""The layers around an application in process: who is let in, what browsers are told, what is counted."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from features.errors import UsageError
from serving.layers import with_layers
from serving.safety import add_key, revoke_key
from serving.safety.guard import check_exposure, is_loopback
from serving.settings import ServingSettings
from serving.watching import Watch, metrics
from serving.web_errors import error_for_status

ORIGIN = "https://desk.example"


async def data(_: Request) -> Response:
    return JSONResponse({"ok": True}, headers={"Server": "secret machine"})


async def page(_: Request) -> Response:
    return HTMLResponse("<p>")


async def predict(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


async def text(_: Request) -> Response:
    return PlainTextResponse("x")


ROUTES = [
    Route("/", page),
    Route("/livez", text),
    Route("/readyz", text),
    Route("/docs.json", data),
    Route("/metrics", text),
    Route("/page/app.js", text),
    Route("/v1/board", data),
    Route("/v1/regimes/{symbol}", data),
    Route("/v1/predict", predict, methods=["POST"]),
]


class Service:
    """An application with its layers, asked in process."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.keys = folder / "keys.json"
        given = {"keys": self.keys} if self.keys.exists() else {}
        loaded = ServingSettings.load(**given, **settings)
        self.app = with_layers(
            Starlette(routes=ROUTES),
            loaded,
            watch=lambda: Watch(metrics()),
            not_ready=lambda: error_for_status(503),
        )

    def ask(
        self, method: str, path: str, *, host: str = "127.0.0.1", server: str | None = None, **options: Any
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._at(server or host), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:3000") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def _at(self, server: str) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "server": (server, 3000)}, receive, send)

        return app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(answer: httpx.Response) -> str:
    content = answer.json()
    assert list(content["error"]) == ["code", "message", "field", "hint"]
    assert answer.headers["x-request-id"]
    return str(content["error"]["code"])


def test_every_path_with_data_needs_a_key(folder: Path) -> None:
    key = add_key(folder / "keys.json", "desk")
    service = Service(folder)
    for method, path in (
        ("GET", "/v1/board"),
        ("GET", "/v1/regimes/BTCUSDT"),
        ("POST", "/v1/predict"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("GET", "/page"),
    ):
        answer = service.ask(method, path)
        assert (answer.status_code, code(answer)) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for headers in (
        {"x-api-key": key},
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
    ):
        assert service.ask("GET", "/v1/board", headers=headers).status_code == 200
        assert service.ask("GET", "/metrics", headers=headers).status_code == 200
        assert service.ask("GET", "/nowhere", headers=headers).status_code == 404


def test_paths_without_data_do_not(folder: Path) -> None:
    add_key(folder / "keys.json", "desk")
    service = Service(folder)
    for path in ("/", "/livez", "/readyz", "/docs.json", "/page/app.js"):
        assert service.ask("GET", path).status_code == 200, path
        assert service.ask("GET", path, headers={"x-api-key": "wrong"}).status_code == 200, path
    assert Service(folder, open_metrics=True).ask("GET", "/metrics").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic d3Jvbmc6d3Jvbmc="},
        {"x-api-key": "é\x7f".encode("latin-1")},
    ],
)
def test_wrong_keys(folder: Path, headers: dict[str, Any]) -> None:
    key = add_key(folder / "keys.json", "desk")
    answer = Service(folder).ask("GET", "/v1/board", headers=headers)
    assert answer.status_code == 401
    assert code(answer) in {"unauthorized", "unknown_key"}
    assert key not in answer.text


def test_a_wrong_key_beside_a_right_one_is_a_wrong_key(folder: Path) -> None:
    key = add_key(folder / "keys.json", "desk")
    headers = {"x-api-key": "wrong", "authorization": f"Bearer {key}"}
    assert Service(folder).ask("GET", "/v1/board", headers=headers).status_code == 401


def test_a_key_in_the_query_is_not_taken(folder: Path) -> None:
    key = add_key(folder / "keys.json", "desk")
    assert Service(folder).ask("GET", f"/v1/board?api_key={key}").status_code == 401


def test_the_key_is_asked_for_before_the_body_is_read(folder: Path) -> None:
    add_key(folder / "keys.json", "desk")
    service = Service(folder)
    read = []

    async def ask() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            read.append(1)
            return {"type": "http.request", "body": b"x" * 1_000, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/predict",
            "raw_path": b"/v1/predict",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "server": ("127.0.0.1", 3000),
        }
        await service.app(scope, receive, send)
        return sent

    assert asyncio.run(ask())[0]["status"] == 401
    assert not read


def test_a_key_has_its_rate(folder: Path) -> None:
    quick = add_key(folder / "keys.json", "quick")
    slow = add_key(folder / "keys.json", "slow", per_minute=2)
    service = Service(folder, rate_per_minute=600, rate_burst=5)
    statuses = [service.ask("GET", "/v1/board", headers={"x-api-key": slow}).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    late = service.ask("GET", "/v1/board", headers={"x-api-key": slow})
    assert code(late) == "rate_limited"
    assert 25 <= int(late.headers["retry-after"]) <= 30
    assert service.ask("GET", "/v1/board", headers={"x-api-key": quick}).status_code == 200
    assert service.ask("GET", "/livez", headers={"x-api-key": slow}).status_code == 200


def test_a_revoked_key_is_refused_while_the_service_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.safety.keyring.CHECK_SECONDS", 0.0)
    key = add_key(folder / "keys.json", "desk")
    service = Service(folder)
    assert service.ask("GET", "/v1/board", headers={"x-api-key": key}).status_code == 200
    revoke_key(folder / "keys.json", "desk")
    answer = service.ask("GET", "/v1/board", headers={"x-api-key": key})
    assert (answer.status_code, code(answer)) == (401, "unknown_key")


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("evil.example", "127.0.0.1"),
        ("127.0.0.1", "192.168.1.7"),
        ("localhost.evil.example", "127.0.0.1"),
    ],
)
def test_without_keys_only_this_machine_is_answered(folder: Path, host: str, server: str) -> None:
    service = Service(folder)
    answer = service.ask("GET", "/v1/board", host=host, server=server)
    assert (answer.status_code, code(answer)) == (403, "keys_required")
    assert service.ask("GET", "/livez", host=host, server=server).status_code == 200
    opened = Service(folder, allow_open=True)
    assert opened.ask("GET", "/v1/board", host=host, server=server).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1.2.3"])
def test_this_machine_needs_no_key(folder: Path, host: str) -> None:
    server = "::1" if ":" in host else "127.0.0.1"
    assert Service(folder).ask("GET", "/v1/board", host=host, server=server).status_code == 200


def test_listening_beyond_this_machine_needs_keys_or_a_word(folder: Path) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.5"):
        with pytest.raises(UsageError) as refused:
            check_exposure(ServingSettings.load(host=host))
        assert refused.value.code == "open_service"
        check_exposure(ServingSettings.load(host=host, allow_open=True))
    check_exposure(ServingSettings.load(host="127.0.0.1"))
    add_key(folder / "keys.json", "desk")
    check_exposure(ServingSettings.load(host="0.0.0.0"))
    with pytest.raises(UsageError) as missing:
        check_exposure(ServingSettings.load(keys=folder / "other.json"))
    assert missing.value.code == "no_keys_file"


def test_addresses_of_this_machine() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.1")
    assert not is_loopback("127.0.0.1.evil.example")


def test_every_answer_carries_security_headers(folder: Path) -> None:
    service = Service(folder)
    answers = {
        path: service.ask(method, path)
        for method, path in (("GET", "/v1/board"), ("GET", "/nowhere"), ("PUT", "/v1/board"), ("GET", "/"))
    }
    for answer in answers.values():
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    assert answers["/v1/board"].headers["content-security-policy"].startswith("default-src 'none';")
    policy = answers["/"].headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy


def test_other_origins_read_nothing_unless_named(folder: Path) -> None:
    answer = Service(folder).ask("GET", "/v1/board", headers={"origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    asked_first = Service(folder).ask("OPTIONS", "/v1/predict", headers=asked)
    assert not [name for name in asked_first.headers if name.startswith("access-control")]


def test_named_origins_may_read_also_refusals(folder: Path) -> None:
    add_key(folder / "keys.json", "desk")
    service = Service(folder, cors_origins=ORIGIN)
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    allowed = service.ask("OPTIONS", "/v1/predict", headers=asked | {"origin": ORIGIN})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "x-api-key" in allowed.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed.headers
    refused = service.ask("GET", "/v1/board", headers={"origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
    other = service.ask("OPTIONS", "/v1/predict", headers=asked | {"origin": "https://evil.example"})
    assert other.status_code == 403
    assert other.json()["error"]["code"] == "cross_origin"
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["*", "desk.example", "https://a.example/", "null", "https://*.example"])
def test_origins_are_exact(origin: str) -> None:
    with pytest.raises(UsageError, match="is no origin"):
        ServingSettings.load(cors_origins=origin)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_a_line_names_the_key_and_never_holds_it(folder: Path, lines: pytest.LogCaptureFixture) -> None:
    key = add_key(folder / "keys.json", "desk")
    service = Service(folder)
    service.ask("GET", "/v1/regimes/BTCUSDT", headers={"x-api-key": key})
    service.ask("GET", f"/v1/board?api_key={key}", headers={"authorization": f"Bearer {key}x"})
    service.ask("GET", f"/{key}", headers={"x-api-key": key})
    fields: list[dict[str, Any]] = [
        vars(record)["fields"] for record in lines.records if "event" in vars(record)
    ]
    assert [one.get("key") for one in fields] == ["desk", None, "desk"]
    assert [one["route"] for one in fields] == ["/v1/regimes/{symbol}", "/v1/board", "/-/unknown"]
    assert [one["status"] for one in fields] == [200, 401, 404]
    assert fields[1]["code"] == "unknown_key"
    told = [record.getMessage() for record in lines.records if record.name.startswith("bearmode")]
    assert len(told) == 3
    assert not [line for line in told if key in line]


def test_the_command_refuses_to_listen_for_strangers(folder: Path, root: Path) -> None:
    command = [sys.executable, str(root / "bearmode.py"), "serve", "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "bearmode keys add" in done.stderr
    assert "allow_open" in done.stderr
