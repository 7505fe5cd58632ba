"""The GET routes of the live store, the client and BentoML's own client, against a real process."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bentoml
import httpx
import numpy as np
import pandas as pd
import pytest
from service_fixtures import ROOT, Served, free_port
from small_training import Trained, small_markets

from features.errors import BearmodeError
from features.history import History
from features.store import Store
from serving.client import AsyncClient, Client
from serving.client_errors import RefusedError, UnavailableError
from serving.predictor import Predictor
from serving.schemas import Account
from serving.window import window_request


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """A store of its own: tests change it."""
    folder = tmp_path_factory.mktemp("live") / "data"
    shutil.copytree(trained.places.store, folder)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, trained: Trained, store: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    port = free_port()
    command = [sys.executable, "-m", "bearmode", "serve", "--port", str(port)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "BEARMODE_STORE": str(store),
        "BEARMODE_BUNDLES": str(trained.places.bundles),
    }
    with (folder / "log.txt").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, text=True, cwd=folder)
        try:
            found = Served(process, f"http://127.0.0.1:{port}", folder / "log.txt")
            found.wait_for("/readyz", 200)
            yield found
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url) as client:
        yield client


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30, trust_env=False) as client:
        yield client


def history_of(store: Path, symbol: str) -> History:
    return History.from_raw(Store(store).read(symbol, "4h"))


def test_the_newest_answer_is_that_of_the_endpoint(client: Client, store: Path, predictor: Predictor) -> None:
    history = history_of(store, "SIMETH")
    newest = client.regime("SIMETH")
    expected = predictor.answer(history)
    names = set(type(expected).model_fields)
    assert newest.model_dump(include=names) == expected.model_dump()
    assert newest.data_state == "stale"
    window = history.window(len(history) - 1, predictor.manifest.window_bars)
    asked = client.predict(window)
    names -= {"degraded"}  # a request does not tell where its window is from
    assert asked.model_dump(include=names) == expected.model_dump(include=names)
    signals = client.signals("SIMETH")
    assert (signals.signals, signals.regime) == (expected.signals, expected.regime)


def test_the_board_shows_every_symbol_or_says_why_not(client: Client) -> None:
    board = client.board()
    assert [row.symbol for row in board.rows] == ["SIMBTC", "SIMETH"]
    for row in board.rows:
        assert row.error is None
        assert row.probabilities is not None
        assert row.regime is not None
        assert row.confidence == getattr(row.probabilities, row.regime)
        assert row.data_age_seconds is not None
        assert row.data_age_seconds > 86_400
    asked = client.board(["SIMETH", "NOPE"])
    assert [row.symbol for row in asked.rows] == ["SIMETH", "NOPE"]
    missing = asked.rows[1]
    assert missing.error is not None
    assert (missing.error.code, missing.regime, missing.data_state) == ("unknown_symbol", None, None)


def test_the_chart_is_the_replay(client: Client, store: Path, predictor: Predictor) -> None:
    history = history_of(store, "SIMETH")
    since = history.time[-200]
    chart = client.history("SIMETH", since=since)
    assert (chart.step, len(chart.time)) == ("4h", 200)
    replayed = list(predictor.replay(history, since, None))
    regimes = [None if row.answer is None else row.answer.regime for row in replayed]
    assert chart.regime == regimes
    for row, bear in zip(replayed, chart.bear, strict=True):
        assert bear == (None if row.answer is None else round(row.answer.probabilities.bear, 6))
    close = history.column("close")[-200:].tolist()
    assert chart.close == [None if np.isnan(value) else value for value in close]
    assert all(chart.in_sample)
    daily = client.history("SIMETH", since=since, step="1d")
    assert len(daily.time) in {34, 35}
    assert daily.regime[-1] == chart.regime[-1]


def test_other_routes_answer(client: Client) -> None:
    found = client.liquidation_map("SIMETH", days=5)
    assert len(found.time) == 5
    assert found.reason is None
    assert len(found.share[0]) == len(found.price)
    assert client.liquidation_map("SIMBTC", days=5).reason == "open_interest_missing"
    model = client.model()
    assert model.ready
    assert client.journal(limit=1).entries[0].version == model.version


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/v1/regimes/NOPE", 404, "unknown_symbol", "symbol"),
        ("/v1/history/NOPE", 404, "unknown_symbol", "symbol"),
        ("/v1/liquidation_map/NOPE", 404, "unknown_symbol", "symbol"),
        ("/v1/signals/..%2fx", 404, "not_found", None),
        ("/v1/signals/simbtc", 422, "bad_symbol", "symbol"),
        ("/v1/board?symbols=a", 422, "bad_symbol", "symbols"),
        ("/v1/board?symbols=SIMBTC&symbols=SIMETH", 422, "invalid_request", "symbols"),
        ("/v1/board?symbol=SIMBTC", 422, "unknown_parameter", "symbol"),
        ("/v1/model?x", 422, "unknown_parameter", "x"),
        ("/v1/model?x=1", 422, "unknown_parameter", "x"),
        ("/v1/history/SIMETH?step=1h", 422, "bad_step", "step"),
        ("/v1/history/SIMETH?since=2040-01-01", 422, "empty_span", "since"),
        ("/v1/history/SIMETH?since=2023-01-02&until=2023-01-01", 422, "empty_span", "since"),
        ("/v1/history/SIMETH?since=soon", 422, "bad_parameter", "since"),
        ("/v1/history/SIMETH?until=99999999999999", 422, "bad_parameter", "until"),
        ("/v1/liquidation_map/SIMETH?days=0", 422, "bad_parameter", "days"),
        ("/v1/liquidation_map/SIMETH?days=٣", 422, "bad_parameter", "days"),
        ("/v1/journal?limit=1e3", 422, "bad_parameter", "limit"),
    ],
)
def test_what_cannot_be_answered_says_why(
    http: httpx.Client, path: str, status: int, code: str, field: str | None
) -> None:
    answer = http.get(path)
    assert answer.status_code == status, answer.text
    found = answer.json()["error"]
    assert (found["code"], found["field"]) == (code, field)
    assert answer.headers["x-request-id"]


def test_who_has_it_already_gets_a_304_with_its_age(http: httpx.Client) -> None:
    for path in ("/v1/regimes/SIMBTC", "/v1/board", "/v1/signals/SIMBTC", "/v1/history/SIMBTC"):
        first = http.get(path)
        assert first.status_code == 200
        assert http.get(path).headers["etag"] == first.headers["etag"]
        again = http.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert int(again.headers["x-data-age"]) >= int(first.headers["x-data-age"]) > 0
        assert again.headers["last-modified"] == first.headers["last-modified"]
        assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert http.head(path).headers["etag"] == first.headers["etag"]


def test_charts_go_packed_to_those_who_take_it(http: httpx.Client) -> None:
    plain = http.get("/v1/history/SIMBTC", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with http.stream("GET", "/v1/history/SIMBTC", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 3


def test_a_batch_is_answered_window_by_window(client: Client, store: Path, predictor: Predictor) -> None:
    history = history_of(store, "SIMBTC")
    bars = predictor.manifest.window_bars
    windows = [history.window(len(history) - 1 - back, bars) for back in range(3)]
    bodies = [*map(window_request, windows), {"symbol": "SIMBTC"}]
    batch = client.predict_batch(bodies)
    assert (batch.answered, batch.refused) == (3, 1)
    assert [one.index for one in batch.results] == [0, 1, 2, 3]
    for window, one in zip(windows, batch.results, strict=False):
        assert one.answer == client.predict(window)
    assert batch.results[3].error is not None
    assert batch.results[3].error.field == "time"
    with pytest.raises(RefusedError) as refused:
        client.predict_batch([])
    assert (refused.value.status, refused.value.field) == (422, "windows")


def test_the_batch_has_limits_of_its_own(http: httpx.Client) -> None:
    JSON = {"content-type": "application/json"}
    body = b'{"windows": [{"symbol": "' + b"A" * 5_000_000 + b'"}]}'
    answer = http.post("/v1/predict/batch", content=body, headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["error"]["code"] == "body_too_large"
    large = b'{"windows": [' + b" " * 64_000_000 + b"]}"
    answer = http.post(
        "/v1/predict/batch", content=gzip.compress(large), headers=JSON | {"content-encoding": "gzip"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert http.post("/v1/predict/batch", content=b"{", headers=JSON).status_code == 400


def test_the_asynchronous_client_asks_many_at_once(served: Served, store: Path, predictor: Predictor) -> None:
    history = history_of(store, "SIMBTC")
    window = history.window(len(history) - 1, predictor.manifest.window_bars)

    async def ask() -> list[object]:
        async with AsyncClient(served.url, compress=True) as client:
            account = Account(equity=10_000.0)
            many = [client.predict(window, account=account) for _ in range(4)]
            answers = await asyncio.gather(*many, client.regime("SIMBTC"), client.board(), client.model())
            return [answer.model_dump() for answer in answers[:4]]

    answers = asyncio.run(ask())
    assert all(answer == answers[0] for answer in answers)


def test_the_client_of_bentoml_works(served: Served, store: Path, predictor: Predictor) -> None:
    history = history_of(store, "SIMBTC")
    body = window_request(history.window(len(history) - 1, predictor.manifest.window_bars))
    with bentoml.SyncHTTPClient(served.url) as theirs:
        answer = theirs.predict(body)
        batch = theirs.predict_batch({"windows": [body]})
    theirs._temp_dir.cleanup()  # it leaves that to the interpreter's end, with a warning
    expected = json.loads(predictor.answer(history).model_dump_json())
    shown = answer if isinstance(answer, dict) else json.loads(answer.model_dump_json())
    assert shown["probabilities"] == expected["probabilities"]
    found = batch if isinstance(batch, dict) else json.loads(batch.model_dump_json())
    assert found["results"][0]["answer"]["advice"] == expected["advice"]


def test_heads_and_options(http: httpx.Client) -> None:
    head = http.head("/v1/board")
    assert (head.status_code, head.content) == (200, b"")
    for path, allow in (("/v1/board", "GET, HEAD, OPTIONS"), ("/v1/predict", "OPTIONS, POST")):
        answer = http.options(path)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allow, b"")
    assert http.options("/nowhere").status_code == 404
    wrong = http.post("/v1/board", json={})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_new_bars_are_seen_and_damage_is_named(client: Client, http: httpx.Client, store: Path) -> None:
    before = client.regime("SIMETH")
    tag = http.get("/v1/regimes/SIMETH").headers["etag"]
    (_, market) = small_markets()
    bars = market.bars.copy()
    last = bars.iloc[[-1]].assign(open_time=bars["open_time"].iloc[-1] + pd.Timedelta(hours=4))
    held = Store(store)
    with held.writing():
        held.write(replace(market, bars=pd.concat([bars, last], ignore_index=True)))
    after = client.regime("SIMETH")
    assert after.as_of == before.as_of + pd.Timedelta(hours=4)
    assert http.get("/v1/regimes/SIMETH").headers["etag"] != tag
    manifest = store / "SIMETH" / "manifest.json"
    content = manifest.read_bytes()
    try:
        manifest.write_bytes(b"{")
        with Client(str(http.base_url), retries=client._retries.__class__(times=0)) as impatient:
            with pytest.raises(UnavailableError) as damaged:
                impatient.regime("SIMETH")
            assert damaged.value.code == "damaged_store"
            assert str(store) not in damaged.value.message
    finally:
        manifest.write_bytes(content)
        os.utime(manifest)
    assert client.regime("SIMETH").as_of == after.as_of


def test_without_a_store_it_says_so(trained: Trained, tmp_path: Path, predictor: Predictor) -> None:
    from serving.market_view import MarketView

    view = MarketView(predictor, Store(tmp_path / "nothing"))
    for ask in (view.board, lambda: view.answer("SIMBTC"), lambda: view.chart("SIMBTC")):
        with pytest.raises(BearmodeError) as refused:
            ask()
        assert (refused.value.status, refused.value.code) == (503, "no_store")
        assert "bearmode fetch" in str(refused.value.hint)
