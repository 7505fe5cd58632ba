"""Golden rows and windows: what the bundle answered when it was proven, replayed at every load."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.errors import BearmodeError, BundleError
from serving.schemas import PredictRequest

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


def replay_golden(predictor: Predictor) -> None:
    """Replay golden rows and windows.

    Raises
    ------
    BundleError
        At the first row or window that answers otherwise than proven.
    """
    golden = predictor.bundle.golden
    try:
        rows = np.array(
            [
                [math.nan if value is None else float(value) for value in row]
                for row in golden["rows"]["features"]
            ],
            dtype=np.float32,
        )
        expected = np.array(golden["rows"]["probabilities"], dtype=np.float64)
        windows = golden["windows"]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError("golden.json does not hold rows and windows") from error
    if not len(rows) or not windows:
        raise BundleError("golden.json is empty: the bundle proves nothing")
    found = predictor.probabilities(rows)
    worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else math.inf
    if not worst <= TOLERANCE:
        raise BundleError(
            f"golden rows answer otherwise than proven: largest difference {worst:.1e}, "
            f"at most {TOLERANCE:.0e} allowed",
            hint="the graph or the runtime differs from the one that was proven",
        )
    for index, window in enumerate(windows):
        try:
            request = PredictRequest.model_validate(window["request"])
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
