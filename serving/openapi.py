"""The OpenAPI document: BentoML's, with our own names and the one error shape."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, Field

from serving.survival import OnlineSource, SurvivalCell, SurvivalTable

__all__ = ["ErrorBody", "ErrorDetail", "described"]

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


class ErrorDetail(BaseModel):
    """What went wrong and how to mend it."""

    code: str = Field(description="stable, snake case")
    message: str
    field: str | None = Field(description="path of the value at fault, such as close[17]")
    hint: str | None


class ErrorBody(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail


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
        "OnlineSource": _schema(OnlineSource),
        "SurvivalCell": _schema(SurvivalCell),
        "SurvivalTable": _schema(SurvivalTable),
    }
    paths = {path: dict(item) for path, item in document["paths"].items()}
    for item in paths.values():
        for method, operation in item.items():
            if isinstance(operation, dict) and method == "post":
                kept = {str(k): v for k, v in operation["responses"].items() if str(k) == "200"}
                item[method] = {**operation, "responses": {**kept, **_error_responses()}}
    paths["/v1/model"] = {
        "get": {
            "summary": "What is served",
            "description": "Version, training span, metrics, features, window length, last load error.",
            "operationId": "model",
            "responses": {
                "200": {
                    "description": "SUCCESS",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    }
    paths["/v1/survival/{symbol}"] = _survival_path()
    info = {
        "title": "bearmode",
        "description": "Market regime, calibrated probabilities, bias and leverage for perpetual futures. "
        "Information, not financial advice.",
        "version": version("bearmode"),
    }
    return {**document, "info": info, "paths": paths, "components": {**components, "schemas": schemas}}


def _survival_path() -> dict[str, Any]:
    name = {"name": "symbol", "in": "path", "required": True, "schema": {"type": "string"}}
    schema = {"$ref": "#/components/schemas/SurvivalTable"}
    errors = {status: one for status, one in _error_responses().items() if status in {"404", "422", "503"}}
    return {
        "get": {
            "summary": "Measured chances of liquidation",
            "description": "By side, leverage, regime at entry (walk-forward and hindsight) and days held; "
            "404 where `bearmode survival` has not written the symbol's table.",
            "operationId": "survival",
            "parameters": [name],
            "responses": {
                "200": {"description": "SUCCESS", "content": {"application/json": {"schema": schema}}},
                **errors,
            },
        }
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def _error_responses() -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {status: {"description": words, "content": body} for status, words in ERRORS.items()}
