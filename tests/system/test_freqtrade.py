"""The example strategy in freqtrade itself, in an environment of its own, against the real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_training import SYMBOLS, UNTIL, Trained

from features.sources import load_simulated
from serving.predictor import Predictor

sys.path.append(str(Path(__file__).parents[1] / "serving"))
from live_fixtures import served

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def freqtrade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of an environment that holds freqtrade and nothing of ours."""
    place = tmp_path_factory.mktemp("freqtrade") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
    python = place / "bin" / "python"
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "freqtrade>=2025.1"],
        capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"freqtrade cannot be installed here: {done.stderr.strip()[-300:]}")
    return python


def test_freqtrade_loads_it_and_gets_the_advice(
    root: Path, freqtrade: Path, trained: Trained, predictor: Predictor, tmp_path: Path
) -> None:
    (market,) = load_simulated([SYMBOLS[0]], interval="4h", until=UNTIL + pd.Timedelta(days=14))
    bars = market.bars.rename(columns={"open_time": "date"}).tail(predictor.manifest.window_bars + 60)
    bars[["date", "open", "high", "low", "close", "volume"]].to_csv(tmp_path / "candles.csv", index=False)
    assert market.funding is not None
    funding = market.funding.rename(columns={"time": "date"})[["date", "funding_rate"]]
    funding.to_csv(tmp_path / "funding.csv", index=False)
    moment = int((bars["date"].iloc[-1] + pd.Timedelta(minutes=1)).timestamp() * 1000)
    with served(tmp_path, "--bundle", str(trained.bundle)) as service:
        service.wait_for("/readyz", 200, seconds=90)
        done = subprocess.run(
            [
                *(str(freqtrade), str(root / "tests" / "system" / "freqtrade_asks.py")),
                *(str(root / "docs" / "examples" / "freqtrade"), service.url, str(tmp_path / "user")),
                *(str(tmp_path / "candles.csv"), str(tmp_path / "funding.csv"), str(moment)),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, cwd=tmp_path,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["class"] == "freqtrade.strategy.interface"
    assert told["timeframe"] == "4h"
    assert told["columns"] == ["enter_long", "enter_short"]
    answer = told["answer"]
    assert isinstance(answer, dict), answer
    assert not [name for name in answer["degraded"] if "funding" in name]
    advice = answer["advice"]
    for side in ("short", "long"):
        leverage, stake, confirmed = told[side]
        advised = advice[f"leverage_{side}"]
        assert leverage == pytest.approx(min(5.0, max(1.0, advised)))
        expected = 100.0 * advice["size_factor"] * min(1.0, advised)
        assert stake == pytest.approx(expected if expected >= 1.0 else 0.0)
        assert confirmed == (advice["side"] == side and advised > 0)
