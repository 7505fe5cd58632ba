"""The OpenAPI document: valid, complete, with examples that validate, and the one that is checked in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate
from starlette.routing import Route
from typer.testing import CliRunner

from bearmode import app
from serving.openapi import documented_routes, openapi_document
from serving.openapi_words import ERROR_WORDS, TAGS
from serving.routes import ROUTES
from serving.web_errors import error_for_status


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, operation) for path, item in document["paths"].items() for operation in item.values()]


def test_it_is_an_openapi_3_1_document(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_it_is_the_one_that_is_checked_in(document: dict[str, Any], root: Path) -> None:
    kept = json.loads((root / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert kept == document, "write it anew: bearmode openapi --out docs/openapi.json"


def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    for route in documented_routes():
        assert "get" in document["paths"][route.path]
    hidden = [route.path for route in ROUTES if isinstance(route, Route) and route not in documented_routes()]
    assert [path for path in hidden if path.startswith("/v1")] == []
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, operation in operations(document):
        assert operation["summary"]
        assert set(operation["tags"]) <= set(TAGS)


def test_every_error_has_the_one_shape(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for status in operation["responses"]:
            if status >= "400":
                assert operation["responses"][status] == {"$ref": f"#/components/responses/{status}"}, path
    for status in ERROR_WORDS:
        response = document["components"]["responses"][status]
        content = response["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
        assert error_for_status(int(status)).code in response["description"]
    for _, operation in operations(document):
        if operation["tags"] != ["Operations"]:
            assert {"401", "429", "500", "504"} <= set(operation["responses"])


def test_every_code_that_the_service_gives_is_named(document: dict[str, Any], root: Path) -> None:
    described = " ".join(words for words, _ in ERROR_WORDS.values())
    given: set[str] = set()
    for name in ("serving/refusals.py", "serving/store_refusals.py", "serving/promotion_journal.py"):
        given |= set(re.findall(r'code="([a-z_]+)"', (root / name).read_text(encoding="utf-8")))
    for file in (root / "serving" / "routes").glob("*.py"):
        given |= set(re.findall(r'code="([a-z_]+)"', file.read_text(encoding="utf-8")))
    assert {code for code in given if f"`{code}`" not in described} == set()


def test_examples_validate(document: dict[str, Any]) -> None:
    seen = []
    for path, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [one.get("content", {}) for one in operation["responses"].values()]
        for content in contents:
            for media in content.values():
                if "example" in media:
                    check(document, media["schema"], media["example"])
                    seen.append(path)
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                check(document, parameter["schema"], parameter["example"])
    for response in document["components"]["responses"].values():
        media = response["content"]["application/json"]
        check(document, media["schema"], media["example"])
    assert {"/v1/predict", "/v1/predict/batch", "/v1/board", "/v1/regimes/{symbol}", "/v1/model"} <= set(seen)
    assert seen.count("/v1/predict") == 2


def check(document: dict[str, Any], schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": document["components"]}
    Draft202012Validator(whole).validate(example)


def test_the_command_writes_it(document: dict[str, Any], tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["openapi"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == document
    file = tmp_path / "api.json"
    assert CliRunner().invoke(app, ["openapi", "--out", str(file)]).exit_code == 0
    assert json.loads(file.read_text(encoding="utf-8")) == document


def test_the_page_of_the_endpoints_names_them_all(document: dict[str, Any], root: Path) -> None:
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [path for path in document["paths"] if path.startswith("/v1") and f" {path}" not in page]
    assert missing == []
    for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL):
        json.loads(block)
