"""One full request window to probabilities (K+1 rows) and to a whole answer, in process.

The window, the model and the machine are the same for each figure; ``features`` and ``graph`` are
parts of ``probabilities``, ``rolling_features`` and ``label_path`` of ``features``. Times are medians in
milliseconds of CPU-bound work on one thread.

What the floor is made of is printed below the figures.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson

from benchmarks.results import options, report
from features.catalog import select
from features.errors import BearmodeError
from features.history import History
from features.pipeline import feature_matrix
from features.sources import load_simulated
from serving.bundle import champion_folder
from serving.predictor import Predictor
from serving.schemas import PredictRequest
from serving.window import window_request
from training.pipeline import default_features, default_recipe, train
from training.settings import Places

RUNS = 60
FLOOR = """
  Where the floor lies: a window of 3,000 bars is so short that arithmetic hardly counts, a column of it is
  divided in 2 microseconds. What costs is the number of steps: `calls` counts the calls of Python and of C
  that the rolling features of one window make, and at a third of a microsecond each they are more than half
  of the time. The rest are sums, whose every step waits for the one before (`longest_sum_ms`, two or three
  dozen of them), and columns looked up in a pandas frame. Fewer steps would take many features in one array,
  declared together, or compiled code: docs/decisions/0007-numpy-and-the-rest.md says what that weighs.
  The labels' own path is another matter: its work grows with rows x futures x days and is arithmetic."""


def milliseconds(work: Callable[[], object]) -> float:
    """Median of many runs."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def calls(work: Callable[[], object]) -> int:
    """Calls of Python and of C that some work makes."""
    count = 0

    def seen(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def predictor_and_history(folder: Path) -> tuple[Predictor, History]:
    """Take the champion here, or train a small model of the full number of trees on a simulated market."""
    (raw,) = load_simulated(["SIMBTC"])
    history = History.from_raw(raw)
    try:
        return Predictor.load(champion_folder(Places.load().bundles)), history
    except BearmodeError:
        places = Places.load(**{name: folder / name for name in ("store", "bundles", "mlruns")})
        result = train([history], places, recipe=replace(default_recipe(default_features()), inner_blocks=2))
        return Predictor.load(result.bundle), history


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        predictor, history = predictor_and_history(Path(folder))
        manifest = predictor.manifest
        window = history.window(len(history) - 1, manifest.window_bars)
        features = select([feature.name for feature in manifest.features])
        rows = manifest.decision.smoothing_bars + 1
        matrix = feature_matrix(window, features, last=rows)
        rolling = tuple(feature for feature in features if feature.group != "label_path")
        path = tuple(feature for feature in features if feature.group == "label_path")
        closes = window.column("close")
        body = orjson.dumps(window_request(window))
        request = PredictRequest.model_validate_json(body)
        figures = {
            "window_bars": manifest.window_bars,
            "rows": rows,
            "features_ms": milliseconds(lambda: feature_matrix(window, features, last=rows)),
            "rolling_features": len(rolling),
            "rolling_features_ms": milliseconds(lambda: feature_matrix(window, rolling, last=rows)),
            "calls": calls(lambda: feature_matrix(window, rolling, last=rows)),
            "longest_sum_ms": milliseconds(lambda: np.add.accumulate(closes)),
            "label_path_ms": milliseconds(lambda: feature_matrix(window, path, last=rows)),
            "graph_ms": milliseconds(lambda: predictor.probabilities(matrix)),
            "probabilities_ms": milliseconds(
                lambda: predictor.probabilities(feature_matrix(window, features, last=rows))
            ),
            "answer_ms": milliseconds(lambda: predictor.predict(request, now=window.time[-1])),
            "parse_json_ms": milliseconds(lambda: PredictRequest.model_validate_json(body)),
        }
    report("window", figures, arguments.json)
    print(FLOOR)


if __name__ == "__main__":
    main()
