"""The OpenAPI document: BentoML's, with our own names and the one error shape."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from serving.error_schemas import ErrorBody, ErrorDetail
from serving.routes import ROUTES, GetRoute, Parameter

__all__ = ["described", "documented_routes"]

ERRORS = {
    "400": "not JSON",
    "404": "no such path",
    "405": "no such method here",
    "408": "the body did not come in time",
    "413": "the body is too large",
    "415": "the body is not JSON by its content type",
    "422": "JSON that breaks a rule; `field` says where",
    "429": "too many requests at once",
    "500": "an error of the service's own",
    "503": "no verified model is served; `Retry-After` says when to ask again",
    "504": "no answer in time",
}


_OBJECT = {"type": "object"}
_TEXT = {"type": "string"}


def described(document: dict[str, Any]) -> dict[str, Any]:
    """Give BentoML's document our title, our errors and our GET routes.

    Parameters
    ----------
    document : dict
        As BentoML makes it; not changed.
    """
    components = document.get("components", {})
    schemas = {
        **components.get("schemas", {}),
        "ErrorBody": _schema(ErrorBody),
        "ErrorDetail": _schema(ErrorDetail),
    }
    paths = {path: dict(item) for path, item in document["paths"].items()}
    for item in paths.values():
        for method, operation in item.items():
            if isinstance(operation, dict) and method == "post":
                kept = {str(k): v for k, v in operation["responses"].items() if str(k) == "200"}
                item[method] = {**operation, "responses": {**kept, **_error_responses()}}
    for route in documented_routes():
        paths[route.path] = {"get": _operation(route)}
        schemas |= _schemas_of(route)
    info = {
        "title": "bearmode",
        "description": "Market regime, calibrated probabilities, bias and leverage for perpetual futures. "
        "Information, not financial advice.",
        "version": version("bearmode"),
    }
    return {**document, "info": info, "paths": paths, "components": {**components, "schemas": schemas}}


def documented_routes() -> list[GetRoute]:
    """Our GET routes, in the order in which they are collected."""
    return [route for route in ROUTES if isinstance(route, GetRoute)]


def _operation(route: GetRoute) -> dict[str, Any]:
    errors = {str(status) for status in (*route.errors, *((422,) if route.parameters else ()))}
    content: dict[str, Any] = {"schema": _OBJECT if route.media_type == "application/json" else _TEXT}
    if route.model is not None:
        content = {"schema": {"$ref": f"#/components/schemas/{route.model.__name__}"}}
    return {
        "summary": route.summary,
        "description": route.description,
        "operationId": route.operation,
        "parameters": [_parameter(one, route.path) for one in route.parameters],
        "responses": {
            "200": {"description": "SUCCESS", "content": {route.media_type: content}},
            **{status: one for status, one in _error_responses().items() if status in errors},
        },
    }


def _parameter(parameter: Parameter, path: str) -> dict[str, Any]:
    in_path = f"{{{parameter.name}" in path
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "path" if in_path else "query",
        "required": in_path,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    return found if parameter.example is None else {**found, "example": parameter.example}


def _schemas_of(route: GetRoute) -> dict[str, Any]:
    """Schema of a route's answer and of all that it refers to."""
    if route.model is None:
        return {}
    whole = route.model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    return {**whole.pop("$defs", {}), route.model.__name__: whole}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def _error_responses() -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {status: {"description": words, "content": body} for status, words in ERRORS.items()}
