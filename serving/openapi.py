"""The OpenAPI 3.1 document: every path, every status, one error shape, examples that validate.

Our own throughout: BentoML's is 3.0, and knows neither the GET routes nor the errors. It is a function of the
code alone; ``bearmode openapi`` writes it, and the service sends it at ``/docs.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import BaseModel

from serving.batch_schemas import BatchAnswer, BatchRequest
from serving.error_schemas import ErrorBody
from serving.openapi_examples import example_of
from serving.openapi_words import COMMON, DESCRIPTION, ERROR_WORDS, INFRASTRUCTURE, POSTED, TAGS
from serving.routes import ROUTES, GetRoute, Parameter
from serving.schemas import Answer, PredictRequest

__all__ = ["documented_routes", "openapi_document"]

Schemas = dict[str, Any]


def documented_routes() -> list[GetRoute]:
    """Our GET routes, in the order in which they are collected."""
    return [route for route in ROUTES if isinstance(route, GetRoute)]


@cache
def openapi_document() -> dict[str, Any]:
    """The whole document, JSON-ready; made once, not to be changed."""
    schemas: Schemas = {}
    _add(schemas, ErrorBody)
    paths: dict[str, Any] = {
        "/v1/predict": {
            "post": _post("predict", PredictRequest, Answer, schemas),
        },
        "/v1/predict/batch": {
            "post": _post("predict_batch", BatchRequest, BatchAnswer, schemas),
        },
    }
    for route in documented_routes():
        paths[route.path] = {"get": _get(route, schemas)}
    for path, (operation, summary, media_type, statuses) in INFRASTRUCTURE.items():
        paths[path] = {"get": _infrastructure(operation, summary, media_type, statuses)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bearmode",
            "summary": "Market regime, calibrated probabilities, bias and leverage for perpetual futures.",
            "description": DESCRIPTION,
            "version": _version(),
        },
        "servers": [{"url": ".", "description": "where this document came from"}],
        "security": [{}, {"ApiKey": []}, {"Bearer": []}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {status: _error(status, words) for status, words in ERROR_WORDS.items()},
            "headers": {
                "X-Request-Id": {
                    "description": "the client's own where it sent a printable one, else a new one",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "Bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _version() -> str:
    """Of the installed package; code that only lies in a folder, as in a container, has none."""
    try:
        return version("bearmode")
    except PackageNotFoundError:
        return "0+unknown"


def _post(operation: str, sent: type[BaseModel], got: type[BaseModel], schemas: Schemas) -> dict[str, Any]:
    words = POSTED[operation]
    return {
        "tags": ["Prediction"],
        "operationId": operation,
        "summary": words.summary,
        "description": words.description,
        "requestBody": {
            "required": True,
            "description": words.body,
            "content": {"application/json": _content(sent, schemas, "validation", f"{operation}.request")},
        },
        "responses": {
            "200": {
                "description": words.answer,
                "headers": _headers({}),
                "content": {"application/json": _content(got, schemas, "serialization", operation)},
            },
            **_errors([*COMMON, "400", "408", "413", "415", "422", "503"]),
        },
    }


def _get(route: GetRoute, schemas: Schemas) -> dict[str, Any]:
    statuses = [*COMMON, *(str(status) for status in route.errors), *(["422"] if route.parameters else [])]
    if route.model is not None:
        content = _content(route.model, schemas, "serialization", route.operation)
    else:
        content = {"schema": {"type": "object" if route.media_type == "application/json" else "string"}}
        example = route.example() if route.example is not None else example_of(route.operation)
        if example is not None:
            content["example"] = example
    answers: dict[str, Any] = {
        "200": {
            "description": route.summary,
            "headers": _headers(route.headers),
            "content": {route.media_type: content},
        }
    }
    if "ETag" in route.headers:
        answers["304"] = {
            "description": "the client has it already; the headers say how old the data is now",
            "headers": _headers(route.headers),
        }
    return {
        "tags": [route.tag],
        "operationId": route.operation,
        "summary": route.summary,
        "description": route.description,
        "parameters": [_parameter(one, route.path) for one in route.parameters],
        "responses": {**answers, **_errors(statuses)},
    }


def _infrastructure(
    operation: str, summary: str, media_type: str | None, statuses: Mapping[str, str]
) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, words in statuses.items():
        answers[status] = {"description": words}
        if status == "200" and media_type is not None:
            kind = "object" if media_type == "application/json" else "string"
            answers[status]["content"] = {media_type: {"schema": {"type": kind}}}
    errors = [status for status in answers if status >= "400"]
    return {
        "tags": ["Operations"],
        "operationId": operation,
        "summary": summary,
        "responses": {**answers, **_errors(errors)},
    }


def _content(
    model: type[BaseModel], schemas: Schemas, mode: Literal["validation", "serialization"], example: str
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _add(schemas, model, mode)}
    found = example_of(example)
    return content if found is None else {**content, "example": found}


def _add(
    schemas: Schemas,
    model: type[BaseModel],
    mode: Literal["validation", "serialization"] = "serialization",
) -> dict[str, str]:
    """Add a model and all that it refers to; a reference to it."""
    whole = model.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
    for name, schema in (*whole.pop("$defs", {}).items(), (model.__name__, whole)):
        before = schemas.setdefault(name, schema)
        if before != schema:
            raise ValueError(f"two schemas are named {name}")
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _parameter(parameter: Parameter, path: str) -> dict[str, Any]:
    in_path = f"{{{parameter.name}" in path
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.example is None:
        return found
    number = parameter.schema.get("type") == "integer"
    return {**found, "example": int(parameter.example) if number else parameter.example}


def _headers(more: Mapping[str, str]) -> dict[str, Any]:
    return {
        "X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"},
        **{name: {"description": words, "schema": {"type": "string"}} for name, words in more.items()},
    }


def _errors(statuses: list[str]) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(set(statuses))}


def _error(status: str, words: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    description, example = words
    headers = _headers(
        {"Retry-After": "seconds until it is worth asking again"} if status in {"429", "503"} else {}
    )
    content = {"schema": {"$ref": "#/components/schemas/ErrorBody"}, "example": {"error": example}}
    return {"description": description, "headers": headers, "content": {"application/json": content}}
