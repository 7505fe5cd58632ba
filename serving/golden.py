"""Golden rows and windows: what the bundle answered when it was proven, replayed at every load."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import BearmodeError, BundleError
from serving.schemas import PredictRequest
from serving.tiers import shipped_tiers_only

if TYPE_CHECKING:
    from serving.predictor import Predictor

__all__ = ["TOLERANCE", "comparable", "differences", "golden_requests", "replay_golden"]

TOLERANCE = 1e-6
"""Largest difference of a probability between the machine that proved and the one that serves."""


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without its run id, which is outside the bundle's hash, and without its version."""
    kept = dict(answer)
    kept["model"] = {
        name: value for name, value in answer["model"].items() if name not in {"run_id", "version"}
    }
    return kept


def differences(expected: object, found: object, path: str = "") -> list[str]:
    """Paths at which two JSON values differ; numbers by more than :data:`TOLERANCE`, relative.

    Examples
    --------
    >>> differences({"a": [1.0, "x"]}, {"a": [1.0000001, "y"]})
    ['a[1]']
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(set(expected) | set(found))
        return [
            one
            for name in names
            for one in differences(
                expected.get(name, "absent"), found.get(name, "absent"), f"{path}.{name}".lstrip(".")
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            one
            for index, (a, b) in enumerate(zip(expected, found, strict=True))
            for one in differences(a, b, f"{path}[{index}]")
        ]
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(found, numbers) and not isinstance(expected, bool):
        close = math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return [] if close else [path]
    return [] if expected == found else [path]


def golden_requests(golden: dict[str, Any]) -> list[PredictRequest]:
    """The raw windows of ``golden.json``, as requests.

    Raises
    ------
    BundleError
        If one of them is none.
    """
    try:
        return [PredictRequest.model_validate(window["request"]) for window in golden["windows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError("golden.json does not hold windows") from error


def _rows(content: list[list[Any]]) -> npt.NDArray[np.float32]:
    """Rows of a graph's input; ``None`` is NaN, infinities are text."""
    rows = [[math.nan if value is None else float(value) for value in row] for row in content]
    return np.array(rows, dtype=np.float32)


def _compare(what: str, found: FloatArray, expected: FloatArray) -> None:
    """Refuse what differs from what was proven by more than the tolerance, of numbers above 1 relative."""
    worst = math.inf
    if found.shape == expected.shape:
        worst = float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max())
    if not worst <= TOLERANCE:
        raise BundleError(
            f"golden {what} answer otherwise than proven: largest difference {worst:.1e}, "
            f"at most {TOLERANCE:.0e} allowed",
            hint="the graph or the runtime differs from the one that was proven",
        )


def replay_golden(predictor: Predictor) -> None:
    """Replay golden rows and windows.

    Raises
    ------
    BundleError
        At the first row or window that answers otherwise than proven.
    """
    golden = predictor.bundle.golden
    try:
        rows = _rows(golden["rows"]["features"])
        expected = np.array(golden["rows"]["probabilities"], dtype=np.float64)
        squeeze_rows = _rows(golden["squeeze"]["features"])
        scales = np.array(golden["squeeze"]["scales"], dtype=np.float64)
        windows = golden["windows"]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError("golden.json does not hold rows and windows") from error
    if not len(rows) or not len(squeeze_rows) or not windows:
        raise BundleError("golden.json is empty: the bundle proves nothing")
    _compare("rows", predictor.probabilities(rows), expected)
    _compare("squeezes", predictor.squeeze_scales(squeeze_rows), scales)
    for index, window in enumerate(windows):
        try:
            request = PredictRequest.model_validate(window["request"])
            with shipped_tiers_only():
                answer = predictor.predict(request, now=pd.Timestamp(request.time[-1], unit="ms", tz="UTC"))
        except (BearmodeError, KeyError, ValueError) as error:
            raise BundleError(f"golden window {index} is refused: {error}") from error
        found_answer = comparable(answer.model_dump(mode="json"))
        paths = differences(window["answer"], found_answer)
        if paths:
            raise BundleError(
                f"golden window {index} answers otherwise than proven, at {', '.join(paths[:5])}",
                hint="the code that serves differs from the code that proved; retrain",
            )
