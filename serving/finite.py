"""Numbers that JSON does not have."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["non_finite"]


def non_finite(value: Any, path: str = "answer") -> str | None:
    """Path of the first number that is NaN or infinite; ``None`` where all are finite.

    Examples
    --------
    >>> non_finite({"advice": {"leverage": float("nan")}})
    'answer.advice.leverage'
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if isinstance(value, dict):
        parts = (non_finite(item, f"{path}.{name}") for name, item in value.items())
    elif isinstance(value, list | tuple):
        parts = (non_finite(item, f"{path}[{i}]") for i, item in enumerate(value))
    else:
        return None
    return next((part for part in parts if part is not None), None)
