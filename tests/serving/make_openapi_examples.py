"""Write ``serving/openapi_examples.json`` anew from a running service with the simulated market in its store.

    python tests/serving/make_openapi_examples.py http://127.0.0.1:3000 data

Real requests and answers, cut short. Run it when an answer has gained a field; then ``make`` the document
with ``bearmode openapi --out docs/openapi.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

from features.history import History
from features.store import Store
from serving.window import window_request

TARGET = Path(__file__).resolve().parents[2] / "serving" / "openapi_examples.json"
BARS = 3


def examples(url: str, store: Path) -> dict[str, Any]:
    """Ask the service, cut the answers."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:

        def get(path: str) -> Any:
            answer = client.get(path)
            answer.raise_for_status()
            return answer.json()

        model = get("/v1/model")
        board = get("/v1/board")
        symbol, other = board["rows"][0]["symbol"], board["rows"][-1]["symbol"]
        history = History.from_raw(Store(store).read(symbol, model["interval"]))
        window = window_request(history.window(len(history) - 1, model["window_bars"]))
        account = {"equity": 10_000, "risk_per_trade": 0.01}
        body = window | {"account": account}
        answer = client.post("/v1/predict", json=body).raise_for_status().json()
        batch = client.post("/v1/predict/batch", json={"windows": [window, {"symbol": symbol}]})
        short = {name: value[-BARS:] if isinstance(value, list) else value for name, value in body.items()}
        short.pop("context", None)
        found = {
            "predict.request": short,
            "predict": answer,
            "predict_batch.request": {"windows": [short, {"symbol": symbol}]},
            "predict_batch": batch.raise_for_status().json(),
            "regime": get(f"/v1/regimes/{symbol}"),
            "board": board,
            "signals": get(f"/v1/signals/{symbol}"),
            "history": get(f"/v1/history/{symbol}?step=1d&since={history.time[-1]:%Y-%m-%d}"),
            "liquidation_map": cut_map(get(f"/v1/liquidation_map/{other}?days=2")),
            "model": cut_model(model),
            "journal": get("/v1/journal?limit=1"),
        }
    # A batch is answered as a request by itself: the broken example of the second window stays out of
    # the request, which is to validate.
    found["predict_batch.request"]["windows"] = [short]
    return found


def cut_map(found: dict[str, Any]) -> dict[str, Any]:
    """Three prices of each day."""
    found["price"] = found["price"][:3]
    found["share"] = [row[:3] for row in found["share"]]
    found["now"] = found["now"][:3]
    return found


def cut_model(model: dict[str, Any]) -> dict[str, Any]:
    """One feature, and of the manifest a few fields."""
    model["features"] = model["features"][:1]
    model["metrics"] = dict(list((model["metrics"] or {}).items())[:3])
    kept = ("schema_version", "symbols", "interval", "window_bars", "data_source")
    model["manifest"] = {name: model["manifest"][name] for name in kept}
    model["reloads"] = model["reloads"][-1:]
    return model


if __name__ == "__main__":
    made = examples(sys.argv[1], Path(sys.argv[2]))
    TARGET.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{TARGET}: {', '.join(made)}")
