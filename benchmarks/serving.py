"""The service with a full window, beside a do-nothing BentoML endpoint and what one would otherwise build.

All run at the same time on one machine, with one worker each, and are asked in turn: what disturbs one
disturbs all. Latencies are of one connection, throughput is of four that ask without a pause; beside
them stands the processor time that each answer costs, which hardly depends on what else the machine
does. Cold starts are from the start of the process to ``/readyz``, in turn with an empty service of BentoML.
"""

from __future__ import annotations

import contextlib
import http.client
import statistics
import tempfile
import time
from pathlib import Path

import joblib
import orjson

from benchmarks.results import options, report
from benchmarks.serving_processes import Running, load, once, started
from benchmarks.window import predictor_and_history
from serving.window import window_request
from training.settings import Places

REQUESTS = 300
ROUNDS, SLICE_SECONDS = 3, 3.0
STARTS = 3
BATCH = 100
PREDICT = "/v1/predict"
OURS = "bearmode"
USUAL = ["-m", "uvicorn", "benchmarks.serving_usual:app", "--port", "{port}", "--log-level", "warning"]


def bento(service: str) -> list[str]:
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", "{port}"]


def our_command() -> list[str]:
    return ["-m", "bearmode", "serve", "--port", "{port}"]


def quantile(values: list[float], share: float) -> float:
    """Value below which so much of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def latencies(services: dict[str, Running], body: bytes) -> dict[str, list[float]]:
    """Milliseconds of each request, the services asked in turn."""
    connections = {name: http.client.HTTPConnection("127.0.0.1", one.port) for name, one in services.items()}
    found: dict[str, list[float]] = {name: [] for name in services}
    for number in range(REQUESTS + 20):
        for name, connection in connections.items():
            began = time.perf_counter()
            once(connection, PREDICT, body)
            if number >= 20:
                found[name].append((time.perf_counter() - began) * 1e3)
    return found


def throughputs(services: dict[str, Running], body: bytes) -> dict[str, tuple[float, float]]:
    """Answers a second, and milliseconds of processor time an answer."""
    rates: dict[str, list[float]] = {name: [] for name in services}
    costs: dict[str, list[float]] = {name: [] for name in services}
    for _ in range(ROUNDS):
        for name, one in services.items():
            before = one.cpu()
            rate = load(one.port, PREDICT, body, connections=4, seconds=SLICE_SECONDS)
            rates[name].append(rate)
            costs[name].append((one.cpu() - before) / (rate * SLICE_SECONDS) * 1e3)
    return {name: (statistics.median(rates[name]), min(costs[name])) for name in services}


def batch_windows_a_second(service: Running, body: bytes) -> tuple[float, float]:
    """Windows a second in one batch, and one by one over two connections at a time, in turn."""
    batch = b'{"windows":[' + b",".join([body] * BATCH) + b"]}"
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    single, together = [], []
    for _ in range(ROUNDS):
        single.append(load(service.port, PREDICT, body, connections=4, seconds=SLICE_SECONDS))
        began = time.perf_counter()
        content = orjson.loads(once(connection, "/v1/predict/batch", batch))
        together.append(BATCH / (time.perf_counter() - began))
        assert len(next(value for value in content.values() if isinstance(value, list))) == BATCH
    return statistics.median(together), statistics.median(single)


def cold_starts(bundles: Path) -> dict[str, float]:
    """Seconds from nothing to ready, in turn."""
    seconds: dict[str, list[float]] = {OURS: [], "empty BentoML": []}
    for _ in range(STARTS):
        with started(our_command(), {"BEARMODE_BUNDLES": str(bundles)}) as one:
            seconds[OURS].append(one.seconds)
        with started(bento("benchmarks.serving_do_nothing:Empty"), {}) as one:
            seconds["empty BentoML"].append(one.seconds)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        predictor, history = predictor_and_history(Path(folder))
        trained = Path(folder) / "bundles"
        bundles = trained if trained.is_dir() else Places.load().bundles.absolute()
        window = history.window(len(history) - 1, predictor.manifest.window_bars)
        body = orjson.dumps(window_request(window))
        answer = Path(folder) / "answer.json"
        answer.write_text(predictor.answer(window).model_dump_json())
        model = Path(folder) / "usual.joblib"
        from benchmarks.serving_usual import fit  # noqa: PLC0415  (only here)

        joblib.dump(fit(history, rounds=50, leaves=15), model)
        one_thread = {"OMP_NUM_THREADS": "1"}
        services = {
            OURS: stack.enter_context(started(our_command(), {"BEARMODE_BUNDLES": str(bundles)})),
            "do-nothing": stack.enter_context(
                started(bento("benchmarks.serving_do_nothing:DoNothing"), {"DO_NOTHING_ANSWER": str(answer)})
            ),
            "usual": stack.enter_context(started(USUAL, {"USUAL_MODEL": str(model), **one_thread})),
        }
        times = latencies(services, body)
        rates = throughputs(services, body)
        figures: dict[str, object] = {"window_bars": len(window), "body_bytes": len(body)}
        for name, service in services.items():
            figures |= {
                f"{name}_p50_ms": quantile(times[name], 0.5),
                f"{name}_p99_ms": quantile(times[name], 0.99),
                f"{name}_answers_a_second": rates[name][0],
                f"{name}_cpu_ms_an_answer": rates[name][1],
                f"{name}_worker_mib": service.worker().memory_full_info().uss / 2**20,
            }
        for other in ("do-nothing", "usual"):
            figures |= {
                f"p50_over_{other}": quantile(times[OURS], 0.5) / quantile(times[other], 0.5),
                f"p99_over_{other}": quantile(times[OURS], 0.99) / quantile(times[other], 0.99),
                f"throughput_over_{other}": rates[OURS][0] / rates[other][0],
                f"cpu_over_{other}": rates[OURS][1] / rates[other][1],
            }
        with contextlib.suppress(RuntimeError):  # a version without the batch route
            together, single = batch_windows_a_second(services[OURS], body)
            figures |= {
                "batch_windows_a_second": together,
                "single_windows_a_second": single,
                "batch_over_single": together / single,
            }
        stack.close()
        starts = cold_starts(bundles)
        figures |= {f"{name}_cold_start_s": value for name, value in starts.items()}
        figures["cold_start_over_empty"] = starts[OURS] / starts["empty BentoML"]
    report("serving", figures, arguments.json)


if __name__ == "__main__":
    main()
