"""A board of 300 symbols: the newest bar of each, in one process, in threads and in processes that are kept.

The windows are cut at many ends from a few simulated markets and are exactly as long as a request's.
``features_and_inference`` is what the regime needs: features of K+1 rows, the graph, the decision;
``answers`` adds signals, advice and words. The processes are started and have answered one board
before the clock runs. One graph call for all rows of all symbols stands beside one call for each:
what it would save.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.results import options, report
from benchmarks.window import predictor_and_history
from features.catalog import select
from features.history import History
from features.parallel.symbol_tasks import default_workers
from features.pipeline import feature_matrix
from features.sources import load_simulated
from serving.board import board
from serving.board_processes import BoardProcesses

SYMBOLS = 300
MARKETS = ("SIMBTC", "SIMETH", "SIMA", "SIMB")
RUNS = 3


def seconds(work: Callable[[], object]) -> float:
    """Best of a few runs."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def windows(count: int, bars: int) -> list[History]:
    """Windows of some markets, each under a name of its own."""
    markets = [History.from_raw(raw) for raw in load_simulated(list(MARKETS))]
    made = []
    for number in range(count):
        market = markets[number % len(markets)]
        end = len(market) - 1 - 37 * (number // len(markets))
        made.append(replace(market.window(end, bars), symbol=f"SIM{number:03d}"))
    return made


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    cores = default_workers()
    with tempfile.TemporaryDirectory() as folder:
        predictor, _ = predictor_and_history(Path(folder))
        manifest = predictor.manifest
        histories = windows(SYMBOLS, manifest.window_bars)
        features = select([feature.name for feature in manifest.features])
        rows = manifest.decision.smoothing_bars + 1
        matrices = [feature_matrix(history, features, last=rows) for history in histories]
        stacked = np.concatenate(matrices)

        def inferred(history: History) -> object:
            return predictor.decided(history, 1)

        with ThreadPoolExecutor(cores) as threads, BoardProcesses(predictor.bundle.folder) as processes:
            apart = processes.board(histories)
            here = board(predictor, histories)
            figures = {
                "symbols": SYMBOLS,
                "window_bars": manifest.window_bars,
                "features": len(features),
                "rows_each": rows,
                "cores": cores,
                "features_and_inference_seconds": seconds(lambda: [inferred(one) for one in histories]),
                "features_and_inference_threads_seconds": seconds(
                    lambda: list(threads.map(inferred, histories))
                ),
                "features_seconds": seconds(
                    lambda: [feature_matrix(one, features, last=rows) for one in histories]
                ),
                "graph_calls_seconds": seconds(lambda: [predictor.probabilities(one) for one in matrices]),
                "one_graph_call_seconds": seconds(lambda: predictor.probabilities(stacked)),
                "answers_seconds": seconds(lambda: board(predictor, histories)),
                "answers_processes_seconds": seconds(lambda: processes.board(histories)),
                "answered": sum(row.result is not None for row in apart),
                "same_answers": apart == here
                and [row.result for row in here[:: SYMBOLS // 10]]
                == [predictor.answer(one) for one in histories[:: SYMBOLS // 10]],
            }
    report("board", figures, arguments.json)


if __name__ == "__main__":
    main()
