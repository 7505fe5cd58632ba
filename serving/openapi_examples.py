"""Examples of the OpenAPI document: real requests and answers, cut short, in ``openapi_examples.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["example_of"]


def example_of(name: str) -> Any:
    """Example of an operation's answer, or of its request (``predict.request``); ``None`` without one."""
    return _examples().get(name)


@cache
def _examples() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("serving").joinpath("openapi_examples.json").read_bytes())
    return found
