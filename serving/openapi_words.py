"""The words of the OpenAPI document that no schema and no route holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["COMMON", "DESCRIPTION", "ERROR_WORDS", "INFRASTRUCTURE", "POSTED", "TAGS", "Posted"]

DESCRIPTION = """Every answer about a window is a pure function of the bundle, the window and `as_of`: no
hidden state, no clock, no live store. The GET routes under `/v1` read the live store, up to its newest bar.

Times in requests are integer Unix milliseconds UTC, in answers ISO 8601 with `Z`. Every error has the shape
`{"error": {"code", "message", "field", "hint"}}`; `code` is stable. Unknown fields and unknown query
parameters are refused. Bodies may be gzip. Every answer carries `X-Request-Id`.

Information, not financial advice."""

TAGS = {
    "Prediction": "Windows that you send.",
    "Markets": "Symbols of the live store.",
    "Model": "What answers, and how it came to be.",
    "Operations": "Health, metrics, documents, events.",
}

COMMON = ("401", "405", "429", "500", "504")
"""Statuses that every path of ours can have."""


def _example(code: str, message: str, field: str | None = None, hint: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "field": field, "hint": hint}


ERROR_WORDS: dict[str, tuple[str, dict[str, Any]]] = {
    "400": (
        "The body is not JSON, or no whole gzip stream: `not_json`, `bad_gzip`, `bad_request`.",
        _example("not_json", "the body is not JSON: unexpected end of data", hint="send it whole"),
    ),
    "401": (
        "This service has keys, and the request has none that it knows: `unauthorized`.",
        _example(
            "unauthorized", "this needs a key", hint="send it as X-API-Key, or as Authorization: Bearer"
        ),
    ),
    "403": (
        "Not allowed from where the request comes: `forbidden`.",
        _example("forbidden", "this is not allowed"),
    ),
    "404": (
        "Nothing by that name: `not_found`, `unknown_symbol`, `no_survival_table`, `live_off`.",
        _example(
            "unknown_symbol",
            "the live store has no bars of XRPUSDT",
            "symbol",
            "it holds BTCUSDT, ETHUSDT",
        ),
    ),
    "405": (
        "The path does not take this method; `Allow` names those that it takes: `method_not_allowed`.",
        _example("method_not_allowed", "this path does not take this method", hint="see the Allow header"),
    ),
    "408": (
        "The body did not come in time: `body_timeout`.",
        _example("body_timeout", "the request body did not arrive within 15 seconds", hint="send it at once"),
    ),
    "413": (
        "The body is too large: `body_too_large`.",
        _example(
            "body_too_large",
            "the request body is too large: 5000000 bytes are declared, at most 4,000,000 are taken",
            hint="send only the window that the model needs (GET /v1/model)",
        ),
    ),
    "415": (
        "Another content type than JSON, or another encoding than gzip: `unsupported_media_type`, "
        "`unsupported_encoding`.",
        _example(
            "unsupported_media_type",
            "content type is 'text/plain', expected application/json",
            hint="send application/json",
        ),
    ),
    "422": (
        "JSON, a path or a query that breaks a rule; `field` says where: `invalid_request`, `bad_history`, "
        "`bad_price`, `bad_value`, `double_time`, `unsorted_time`, `future_time`, `wrong_interval`, "
        "`window_too_short`, `last_bar_missing`, `too_many_missing_bars`, `bad_window`, `bad_data`, "
        "`bad_symbol`, `bad_parameter`, `unknown_parameter`, `bad_step`, `too_many_rows`, `empty_span` and "
        "others of this kind.",
        _example(
            "window_too_short",
            "the window has 200 bars, this model needs 3865",
            "time",
            "send the last 3865 consecutive bars; GET /v1/model says window_bars",
        ),
    ),
    "429": (
        "More at once than the service or the key takes: `too_many_requests`.",
        _example(
            "too_many_requests",
            "more requests at once than this service takes",
            hint="retry after Retry-After",
        ),
    ),
    "500": (
        "A failure of the service's own; its log says more under the request id: `internal`.",
        _example(
            "internal",
            "the service failed on this request",
            hint="its log says more under the X-Request-Id",
        ),
    ),
    "503": (
        "Not able to answer now: `not_ready` (no verified model), `no_store`, `store_unusable`, "
        "`store_unreachable`, `damaged_store`, a symbol's own reason such as `window_too_short`, "
        "`bad_survival_table`, `journal_unreachable`.",
        _example(
            "not_ready",
            "no verified bundle is being served: no model has been promoted",
            hint="GET /v1/model says why",
        ),
    ),
    "504": (
        "No answer within the time limit: `timeout`.",
        _example("timeout", "no answer within the time limit", hint="send a shorter window or retry later"),
    ),
}
"""By status: words with every code, and an example."""


class Posted(NamedTuple):
    """The words of a POST path."""

    summary: str
    description: str
    body: str
    answer: str


POSTED = {
    "predict": Posted(
        "Answer one window",
        "Regime, calibrated probabilities, bias and leverage at the window's last close, with each step of "
        "the calculation. The window is the last `window_bars` bars (`GET /v1/model`); longer ones are cut, "
        "shorter ones refused. Safe to repeat: nothing is changed.",
        "At most 4 MB and 20,000 bars; gzip is taken. The example is cut short: a model needs more bars.",
        "The answer",
    ),
    "predict_batch": Posted(
        "Answer many windows",
        "Each window is answered exactly as by `POST /v1/predict`, all by one model; one that is wrong stops "
        "no other. Windows of one symbol that overlap are answered together and quickest. Safe to repeat.",
        "At most 64 MB and 200 windows, each within the limits of a single request; gzip is taken.",
        "A result for each window, in their order",
    ),
}

INFRASTRUCTURE: dict[str, tuple[str, str, str | None, Mapping[str, str]]] = {
    "/livez": ("livez", "Whether the process lives", None, {"200": "it does"}),
    "/readyz": (
        "readyz",
        "Whether a verified model is served",
        None,
        {"200": "it is", "503": "it is not"},
    ),
    "/healthz": ("healthz", "The older name of /livez", None, {"200": "the process lives"}),
    "/metrics": (
        "metrics",
        "Metrics for Prometheus",
        "text/plain",
        {"200": "in Prometheus' text format", "401": "a key is needed"},
    ),
    "/docs.json": ("openapi", "This document", "application/json", {"200": "OpenAPI 3.1"}),
    "/schema.json": (
        "schema",
        "The service as BentoML's client reads it",
        "application/json",
        {"200": "BentoML's schema", "401": "a key is needed"},
    ),
}
"""By path: operation, summary, media type of the answer, statuses and their words."""
