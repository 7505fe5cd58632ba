"""What a scrape is told beside what was counted, names of routes, and lines of the log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from service_fixtures import ANSWER, FakePredictor, make_bundle, request_body
from starlette.routing import Mount, Route

from serving.live_model import LiveModel
from serving.schemas import Answer, PredictRequest
from serving.watching import CurrentState, RequestRecord, RouteNames, Watch, metrics
from serving.watching.logs import JsonFormatter
from serving.watching.request_record import Answered
from serving.watching.watch import Finished


def live(folder: Path, version: str = "v1") -> LiveModel:
    bundle = make_bundle(folder / "bundle", version)
    model = LiveModel(lambda: FakePredictor.load(bundle), watched=bundle / "manifest.json")
    model.refresh()
    return model


def names(state: CurrentState) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(state.text())
        for sample in family.samples
    }


def test_a_worker_without_a_bundle_says_so(tmp_path: Path) -> None:
    found = names(CurrentState(live(tmp_path, "broken")))
    assert (found["bearmode_model_ready"], found["bearmode_model_load_failed"]) == (0.0, 1.0)
    assert "bearmode_model_info" not in found


def test_a_source_that_fails_hides_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_now: float) -> Any:
        raise OSError("the disk is gone")

    def good(now: float) -> Any:
        yield "bearmode_store_symbols", "", {}, now

    found = names(CurrentState(live(tmp_path), sources=[broken, good], clock=lambda: 7.0))
    assert found["bearmode_store_symbols"] == 7.0
    assert found["bearmode_model_ready"] == 1.0
    assert "the disk is gone" in caplog.text


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"metrics": 3}', '{"metrics": {"bearmode_a": "x"}}']
)
def test_a_report_that_is_none_is_left_out(tmp_path: Path, content: str) -> None:
    report = tmp_path / "health.json"
    assert names(CurrentState(live(tmp_path), health_report=report))["bearmode_model_ready"] == 1.0
    report.write_text(content)
    found = names(CurrentState(live(tmp_path / "again"), health_report=report))
    assert "bearmode_health_report_timestamp_seconds" not in found or content == "{}"


def test_a_report_cannot_bring_lines_of_its_own(tmp_path: Path) -> None:
    report = tmp_path / "health.json"
    samples = {
        'bearmode_health_check{check="drift_30d"}': 2.0,
        'bearmode_evil{a="b\n"} 1\nup': 1.0,
        "other_name": 1.0,
        "bearmode_model_state": 9.0,
    }
    report.write_text(json.dumps({"metrics": samples}))
    found = names(CurrentState(live(tmp_path), health_report=report))
    assert found["bearmode_health_check"] == 2.0
    assert not {"bearmode_evil", "other_name", "up", "bearmode_model_state"} & set(found)


def test_routes_have_one_name_each() -> None:
    inner = [Route("/regimes/{symbol}", print), Route("/board", print), Route("/{folder:path}", print)]
    routes = RouteNames(
        [Route("/livez", print), Mount("/v1", routes=inner[:2]), Mount("/files", routes=inner[2:])]
    )
    expected = {
        "/livez": "/livez",
        "/v1/board": "/v1/board",
        "/v1/regimes/BTCUSDT": "/v1/regimes/{symbol}",
        "/v1/regimes/a/b": None,
        "/files/a/b": "/files/{folder}",
        "/v1": None,
        "/livez/x": None,
    }
    for path, name in expected.items():
        assert routes.name(path) == name, path


def finished(**changes: Any) -> Finished:
    given: dict[str, Any] = {
        "route": "/v1/predict",
        "method": "POST",
        "status": 200,
        "seconds": 0.01,
        "streamed": False,
        "request_id": "r",
        "code": None,
        "record": RequestRecord(),
    }
    return Finished(**(given | changes))


class Kept:
    def __init__(self) -> None:
        self.rows: list[Any] = []

    def put(self, row: Any) -> None:
        self.rows.append(row)


@pytest.mark.parametrize(
    ("setting", "choice", "kept"),
    [
        ("off", None, 0),
        ("live", None, 0),
        ("live", "on", 1),
        ("live", "yes", 0),
        ("all", None, 1),
        ("all", "off", 0),
    ],
)
def test_a_window_of_a_client_is_kept_only_where_somebody_says_so(
    setting: Any, choice: str | None, kept: int
) -> None:
    log = Kept()
    watch = Watch(metrics(), log, setting)  # type: ignore[arg-type]
    request = PredictRequest.model_validate(request_body())
    record = RequestRecord([Answered(Answer.model_validate(ANSWER), request)], log_choice=choice)
    watch.finished(finished(record=record))
    assert len(log.rows) == kept


def test_what_fails_in_the_watch_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def put(self, _row: Any) -> None:
            raise OSError("the queue is gone")

    watch = Watch(metrics(), Broken(), "all")  # type: ignore[arg-type]
    request = PredictRequest.model_validate(request_body())
    watch.finished(finished(record=RequestRecord([Answered(Answer.model_validate(ANSWER), request)])))
    watch.live_answer(Answer.model_validate(ANSWER))
    assert caplog.text.count("could not be told of") == 2


def test_labels_are_bounded() -> None:
    counted = metrics()
    for number in range(300):
        counted.error("/v1/predict", 422, f"made_up_{number}")
    codes = {
        sample.labels["code"]
        for family in counted.errors.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert "other" in codes
    assert len(codes) <= 101


def test_a_line_is_one_json_object_whatever_it_holds() -> None:
    record = logging.LogRecord("bearmode.x", logging.ERROR, "x.py", 1, 'a "b"\n%s', ("c\u2028\ud800",), None)
    vars(record)["fields"] = {"ms": float("nan"), "path": Path("/x")}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    content = json.loads(line)
    assert content["level"] == "error"
    assert content["path"] == "/x"
