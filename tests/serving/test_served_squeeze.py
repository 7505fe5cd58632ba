"""The squeeze model in an answer: what the leverage lives through, what a position risks, what stands in."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import Trained, small_histories

from features.errors import BundleError
from features.history import History
from serving.bundle import Bundle
from serving.predictor import Predictor
from serving.schemas import Answer, PredictRequest
from serving.squeeze import HORIZONS, LEVELS, SIDES, squeeze_inputs, symbol_factors
from serving.window import window_request

Body = dict[str, Any]
SHORT = {"side": "short", "notional": 2000, "leverage": 3}


@pytest.fixture(scope="module")
def history() -> History:
    return small_histories()[0]


@pytest.fixture(scope="module")
def body(predictor: Predictor, history: History) -> Body:
    end = int((history.time < pd.Timestamp("2023-01-10", tz="UTC")).sum()) - 1
    return window_request(history.window(end, predictor.manifest.window_bars))


def ask(predictor: Predictor, body: Body, **account: Any) -> Answer:
    asked = body | ({"account": {"equity": 10_000, **account}} if account else {})
    request = PredictRequest.model_validate(asked)
    return predictor.predict(request, now=pd.Timestamp(body["time"][-1], unit="ms", tz="UTC"))


def steps(answer: Answer) -> dict[str, float]:
    return {step.name: step.value for step in answer.advice.calculation}


def test_the_leverage_lives_through_what_the_graph_says(predictor: Predictor, body: Body) -> None:
    answer = ask(predictor, body)
    window = History.from_columns(
        body["symbol"],
        body["interval"],
        pd.DatetimeIndex(np.array(body["time"], dtype="M8[ms]"), tz="UTC"),
        {name: np.array(body[name], dtype=float) for name in ("open", "high", "low", "close", "volume")},
        last=predictor.manifest.window_bars,
    )
    sigma = steps(answer)["volatility_day"]
    features = predictor.decided(window, 1).beside
    scales = predictor.squeeze_scales(squeeze_inputs(features, np.array([sigma])))
    assert scales.shape == (1, len(SIDES), len(HORIZONS), len(LEVELS))
    scales = scales * symbol_factors("SIMBTC", predictor.manifest.squeeze)[:, :, None]
    for index, side in enumerate(SIDES):
        scale = scales[0, index, HORIZONS.index(7), LEVELS.index(0.995)]
        assert steps(answer)[f"{side}_excursion_scale"] == pytest.approx(scale)
        log_move = scale * steps(answer)["volatility"]
        q = math.expm1(log_move) if side == "short" else -math.expm1(-log_move)
        assert steps(answer)[f"{side}_adverse_excursion"] == pytest.approx(q)
    assert "squeeze_missing" not in answer.degraded


def test_an_open_position_has_its_chances(predictor: Predictor, body: Body) -> None:
    close = body["close"][-1]
    chances = []
    for leverage in (2, 5, 10):
        report = ask(predictor, body, position=SHORT | {"entry": close, "leverage": leverage}).advice.position
        assert report is not None
        assert report.chance_1d is not None
        assert report.chance_3d is not None
        assert report.chance_7d is not None
        assert 0 < report.chance_1d <= report.chance_3d <= report.chance_7d < 1
        chances.append(report.chance_7d)
    assert chances == sorted(chances)
    assert chances[0] < 0.001 < chances[2]  # beyond the last quantile the fitted tail holds


def test_a_rarer_survival_level_gives_less_leverage(predictor: Predictor, body: Body) -> None:
    found = [ask(predictor, body, survival_level=level).advice for level in (0.95, 0.99, 0.995, 0.9999)]
    excursions = [one.survival.adverse_excursion for one in found]
    assert excursions == sorted(set(excursions))
    assert [one.leverage_short for one in found] == sorted(
        (one.leverage_short for one in found), reverse=True
    )
    assert [one.survival.level for one in found] == [0.95, 0.99, 0.995, 0.9999]
    assert found[2].leverage_short == ask(predictor, body).advice.leverage_short


def test_where_an_input_is_missing_the_table_stands_in_by_name(predictor: Predictor, body: Body) -> None:
    lacking = dict(body)
    for name in ("open", "high", "low", "close", "volume"):
        lacking[name] = [*body[name][:-3], None, None, body[name][-1]]
    answer = ask(predictor, lacking, position=SHORT | {"entry": body["close"][-1]}, survival_level=0.99)
    assert "squeeze_missing" in answer.degraded
    assert ("squeeze_missing", 0.90) in [(cut.name, cut.factor) for cut in answer.advice.haircuts]
    parameters = predictor.manifest.advice
    scales = {value for row in parameters.excursion_short for value in row}
    assert steps(answer)["short_excursion_scale"] in scales
    assert answer.advice.survival.level == parameters.survival_level
    assert answer.advice.withheld["account.survival_level"] == "squeeze_missing"
    assert answer.advice.withheld["position.chance_7d"] == "too_few_quantiles"


@pytest.mark.parametrize("index", [0, 1])
def test_replayed_squeezes_are_those_of_the_endpoint(predictor: Predictor, index: int) -> None:
    history = small_histories()[index]
    since = pd.Timestamp("2023-02-27", tz="UTC")
    for row in [*predictor.replay(history, since, None)][::7]:
        end = int(history.time.searchsorted(row.time))
        if row.answer is None:
            continue
        alone = ask(predictor, window_request(history.window(end, predictor.manifest.window_bars)))
        assert alone.advice.survival == row.answer.advice.survival
        assert steps(alone) == steps(row.answer)


def test_a_bundle_with_another_squeeze_graph_or_other_offsets_is_refused(
    trained: Trained, tmp_path: Path
) -> None:
    copied = tmp_path / "bundle"
    shutil.copytree(trained.bundle, copied)
    (copied / "squeeze.onnx").write_bytes((trained.bundle / "model.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"squeeze\.onnx has SHA-256"):
        Bundle(copied)
    shutil.copy(trained.bundle / "squeeze.onnx", copied)
    manifest = json.loads((copied / "manifest.json").read_bytes())
    manifest["squeeze"]["offsets"]["short"][2][3] = -1.0
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="does not fit the schema"):
        Bundle(copied)


def test_golden_squeezes_are_replayed(trained: Trained, tmp_path: Path) -> None:
    copied = tmp_path / "bundle"
    shutil.copytree(trained.bundle, copied)
    golden = json.loads((copied / "golden.json").read_bytes())
    golden["squeeze"]["scales"][0][0][0][0] *= 1.001
    (copied / "golden.json").write_text(json.dumps(golden))
    manifest = json.loads((copied / "manifest.json").read_bytes())

    manifest["files"]["golden.json"] = hashlib.sha256((copied / "golden.json").read_bytes()).hexdigest()
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="golden squeezes answer otherwise"):
        Predictor.load(copied)
