"""Scores of the replayed walk-forward answers on the real history, measured from the files alone.

Trains on the five symbols (unless the champion has walk-forward models of them), replays 2022-01 to
2024-12 and scores the replay FILE against the hindsight regimes: bars at 00, 06, 12, 18 UTC, pooled.
The moving-average rule is computed here a second time, by the formula of the protocol alone.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.results import MARKET, options, report
from features.history import History
from features.regimes import REGIMES, hindsight_regimes
from features.sources import load_files
from training.evaluation import calibration_error, classwise_calibration_error, scores, switches_per_year
from training.pipeline import train
from training.replay import replay, replay_models
from training.settings import Places

SINCE, UNTIL = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")
FOLDS = pd.date_range("2022-01-01", "2024-07-01", freq="6MS", tz="UTC")
SCORED = ("log_loss", "macro_f1", "f1_bear", "f1_ranging", "f1_relief_rally", "f1_bull", "brier", "accuracy")


def rule(close: pd.Series) -> npt.NDArray[np.int64]:
    """Answer of the moving-average rule, plain pandas."""
    p = np.log(close)
    sigma = np.sqrt((p.diff() ** 2).ewm(halflife=42 * 24, adjust=True).mean() * 24)

    def distance(days: int) -> pd.Series:
        gap: pd.Series = (p - p.rolling(days * 24).mean()) / (sigma * np.sqrt(days))
        return gap

    week = (p - p.shift(7 * 24)) / (sigma * np.sqrt(7))
    down = distance(120) < -0.3
    return np.select([down & (week > 0.5), down, distance(60) > 0.3], [2, 0, 3], default=1).astype(np.int64)


def labelled(histories: list[History]) -> pd.DataFrame:
    """Hindsight label, confirmation and rule's answer of every sampled bar."""
    tables = []
    for history in histories:
        labels = hindsight_regimes(history)
        table = pd.DataFrame(
            {
                "time": history.time,
                "symbol": history.symbol,
                "y": labels["regime"].to_numpy(),
                "confirmed_at": labels["confirmed_at"].array,
                "rule": rule(history.frame["close"]),
            }
        )
        tables.append(table[table["y"].notna() & history.frame["close"].notna().to_numpy()])
    table = pd.concat(tables, ignore_index=True).astype({"y": "int64"})
    sampled: pd.DataFrame = table[table["time"].dt.hour % 6 == 0]
    return sampled


def rule_log_loss(table: pd.DataFrame) -> float:
    """Log loss of the calibrated rule: class counts of the training rows per answer + 5 x prior."""
    losses = []
    for start in FOLDS:
        known = table[table["confirmed_at"] < start - pd.Timedelta(days=5)]
        test = table[(table["time"] >= start) & (table["time"] < start + pd.DateOffset(months=6))]
        prior = np.bincount(known["y"], minlength=4) / len(known)
        counts = np.zeros((4, 4))
        np.add.at(counts, (known["rule"].to_numpy(), known["y"].to_numpy()), 1)
        p = counts + 5 * prior
        p /= p.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[test["rule"].to_numpy(), test["y"].to_numpy()]))
    return float(np.concatenate(losses).mean())


def main() -> None:
    """Measure and report."""
    arguments = options(__doc__ or "")
    if not MARKET.is_dir():
        print(f"skipped: {MARKET.name} with real history is not there")
        return
    histories = [History.from_raw(raw) for raw in load_files(MARKET, [])]
    with tempfile.TemporaryDirectory() as folder:
        places = Places.load(**{name: Path(folder) / name for name in ("store", "bundles", "mlruns")})
        started = time.monotonic()
        result = train(histories, places)
        train_seconds = time.monotonic() - started
        started = time.monotonic()
        frame = replay(histories, replay_models(places.bundles, walk_forward=True), since=SINCE, until=UNTIL)
        replay_seconds = time.monotonic() - started
    table = labelled(histories)
    joined = table.merge(frame[frame["regime"].notna()], on=["time", "symbol"], how="inner")
    p = joined[[f"p_{name}" for name in REGIMES]].to_numpy(np.float64)
    y = joined["y"].to_numpy()
    regime = joined["regime"].map({name: index for index, name in enumerate(REGIMES)}).to_numpy(np.int64)
    found = scores(p, y, regime)
    rule_loss = rule_log_loss(table[table["time"] < UNTIL])
    answered = frame[frame["regime"].notna()]
    codes = answered["regime"].map({name: index for index, name in enumerate(REGIMES)}).to_numpy(np.int64)
    symbols = answered["symbol"].astype("category").cat.codes.to_numpy(np.int64)
    times = pd.DatetimeIndex(answered["time"])
    figures: dict[str, Any] = {name: found[name] for name in SCORED}
    figures |= {
        "ece": calibration_error(p.max(axis=1), p.argmax(axis=1) == y),
        "ece_classwise": classwise_calibration_error(p, y),
        "rows": len(joined),
        "independent_spells": result.report.spells,
        "rule_log_loss": rule_loss,
        "log_loss_over_rule": found["log_loss"] / rule_loss,
        "base_log_loss": result.report.models["base"]["log_loss"],
        "switches_per_year": switches_per_year(codes, symbols, times),
        "true_switches_per_year": result.report.true_switches,
        "excursion_coverage_short": result.report.excursion_coverage["short"],
        "excursion_coverage_long": result.report.excursion_coverage["long"],
        "onnx_largest_difference": result.parity,
        "train_seconds": train_seconds,
        "replay_seconds": replay_seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "in_sample_rows": int(frame["in_sample"].sum()),
    }
    for name in sorted(joined["symbol"].unique()):
        mine = (joined["symbol"] == name).to_numpy()
        one = scores(p[mine], y[mine], regime[mine])
        figures |= {f"{name}_{key}": one[key] for key in ("log_loss", "macro_f1", "f1_relief_rally", "ece")}
        figures[f"{name}_mean_leverage"] = float(answered.loc[answered["symbol"] == name, "leverage"].mean())
    report("walk_forward", figures, arguments.json)


if __name__ == "__main__":
    main()
