"""A model that looks across markets: training, bundle, request and replay say the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from small_training import new_places, small_recipe
from typer.testing import CliRunner

from bearmode import app
from features.catalog import CATALOG, select
from features.context import with_context
from features.errors import BundleError, DataError, TrainingError
from features.history import History
from features.raw import RawMarket
from features.regimes import REGIMES
from features.sources import load_simulated
from features.store import Store
from serving.bundle import Bundle, Manifest
from serving.predictor import Predictor
from serving.schemas import Answer, PredictRequest
from serving.window import window_request
from training.dataset import build_dataset
from training.demo import serving
from training.pipeline import default_features, default_recipe, train
from training.replay import replay, replay_models
from training.settings import Places

Body = dict[str, Any]
SYMBOLS = ["SIMBTC", "SIMETH", "SIMSOL"]
UNTIL = pd.Timestamp("2022-02-20", tz="UTC")
FEATURES = (
    *select(["return_1d", "return_8d", "return_30d", "above_mean_20d", "mean_20d_over_100d"]),
    *select(["interest_change_7d"]),
    *(feature for feature in CATALOG if feature.group == "cross_market"),
)


@cache
def markets() -> tuple[RawMarket, ...]:
    """Three symbols; one begins later, one has a hole."""
    first, second, third = load_simulated(SYMBOLS, interval="4h", until=UNTIL)
    late = second.bars["open_time"] >= pd.Timestamp("2021-03-01", tz="UTC")
    hole = third.bars["open_time"].between(
        pd.Timestamp("2022-01-20", tz="UTC"), pd.Timestamp("2022-01-20 10:00", tz="UTC")
    )
    return (
        first,
        replace(second, bars=second.bars[late].reset_index(drop=True)),
        replace(third, bars=third.bars[~hole].reset_index(drop=True)),
    )


def histories() -> list[History]:
    """The markets joined, without context."""
    return [History.from_raw(market) for market in markets()]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """A champion that looks across markets, and the store it learned from."""
    made = new_places(tmp_path_factory.mktemp("across"))
    store = Store(made.store)
    with store.writing():
        for market in markets():
            store.write(market)
    recipe = default_recipe(FEATURES)
    boosting = replace(recipe.boosting, rounds=3, leaves=7, min_rows=40)
    recipe = replace(recipe, boosting=boosting, inner_blocks=2)
    result = train(histories(), made, recipe=recipe, features=FEATURES)
    assert result.parity <= 1e-6
    return made


@pytest.fixture(scope="module")
def across(places: Places) -> Predictor:
    return replay_models(places.bundles, walk_forward=False)[0].predictor


@pytest.fixture
def body(across: Predictor) -> Body:
    """A request of ``SIMETH`` with its context, of the newest bar."""
    joined = with_context(histories())[1]
    return window_request(joined.window(len(joined) - 1, across.manifest.window_bars))


def ask(predictor: Predictor, body: Body) -> Answer:
    return predictor.predict(PredictRequest.model_validate(body), now=UNTIL)


def test_the_manifest_names_the_universe_and_the_golden_windows_carry_it(across: Predictor) -> None:
    assert across.manifest.context_symbols == SYMBOLS
    golden = [window["request"] for window in across.bundle.golden["windows"]]
    assert [sorted(request.get("context", {})) for request in golden] == [
        ["SIMETH", "SIMSOL"],
        ["SIMBTC", "SIMETH"],
        [],
    ]
    answers = [window["answer"]["degraded"] for window in across.bundle.golden["windows"]]
    assert ["context_missing" in degraded for degraded in answers] == [False, False, True]
    folds = across.bundle.folder.with_name(f"{across.bundle.folder.name}.walk-forward")
    assert [Bundle(path).manifest.context_symbols for path in folds.glob("20*")] == [SYMBOLS]


def test_a_model_that_looks_at_one_symbol_alone_has_no_word_of_it(predictor: Predictor) -> None:
    content = json.loads((predictor.bundle.folder / "manifest.json").read_text())
    assert "context_symbols" not in content
    assert "context_symbols" not in predictor.manifest.model_dump(mode="json")
    assert predictor.manifest.context_symbols == []
    for window in predictor.bundle.golden["windows"]:
        assert "context" not in window["request"]
        assert not [name for name in window["answer"]["degraded"] if "context" in name]


def test_histories_with_context_make_the_same_data_without_features_that_read_it() -> None:
    plain = build_dataset(histories(), default_features())
    joined = build_dataset(with_context(histories()), default_features())
    assert (plain.data_hash(), plain.feature_hash()) == (joined.data_hash(), joined.feature_hash())
    assert plain.universe == joined.universe == ()
    assert not plain.histories[0].context


def test_replay_and_endpoint_agree_to_the_last_bit(places: Places, across: Predictor) -> None:
    made = histories()
    since = pd.Timestamp("2022-01-15", tz="UTC")
    frame = replay(made, replay_models(places.bundles, walk_forward=False), since=since)
    rows = {(row["symbol"], row["time"]): row for row in frame.to_dict("records")}
    joined = with_context(made)
    requests = []
    for history in joined:
        hole = int((history.time < pd.Timestamp("2022-01-20", tz="UTC")).sum())
        for end in (hole - 1, hole, hole + 3, len(history) - 40, len(history) - 1):
            if np.isfinite(history.column("close")[end]):
                requests.append(window_request(history.window(end, across.manifest.window_bars)))
    with serving(across.bundle.folder) as address, httpx.Client(base_url=address, trust_env=False) as client:
        answers = [client.post("/v1/predict", json=request, timeout=30) for request in requests]
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    degraded = set()
    for request, answer in zip(requests, answers, strict=True):
        content = answer.json()
        assert content == ask(across, request).model_dump(mode="json")
        row = rows[request["symbol"], pd.Timestamp(request["time"][-1], unit="ms", tz="UTC")]
        for name in REGIMES:
            assert row[f"p_{name}"] == content["probabilities"][name]
        assert row["leverage_short"] == content["advice"]["leverage_short"]
        assert row["degraded"] == ",".join(content["degraded"])
        degraded |= set(content["degraded"])
    assert "context_missing" in degraded  # of the others, in the hole of one


def test_walk_forward_models_read_the_context_too(places: Places) -> None:
    models = replay_models(places.bundles, walk_forward=True)
    frame = replay(histories(), models, since=pd.Timestamp("2022-02-10", tz="UTC"))
    assert frame["regime"].notna().all()
    assert not frame["degraded"].str.contains("context").any()
    alone = replay(histories()[1:2], models, since=pd.Timestamp("2022-02-10", tz="UTC"))
    assert alone["degraded"].str.contains("context_missing").all()
    together = frame[frame["symbol"] == "SIMETH"].reset_index(drop=True)
    assert (alone["p_bear"] != together["p_bear"]).any()


def test_without_context_it_answers_and_says_so(across: Predictor, body: Body) -> None:
    whole = ask(across, body)
    assert not [name for name in whole.degraded if "context" in name or "cross" in name]
    nothing = ask(across, {name: value for name, value in body.items() if name != "context"})
    assert {"context_missing", "cross_market_features_incomplete"} <= set(nothing.degraded)
    assert nothing.probabilities != whole.probabilities
    assert ask(across, body | {"context": {}}) == nothing
    assert ask(across, body | {"context": {"SIMBTC": {"time": [], "close": []}}}) == nothing


def test_one_symbol_missing_is_named_and_the_rest_stands(across: Predictor, body: Body) -> None:
    less = {name: one for name, one in body["context"].items() if name != "SIMSOL"}
    answer = ask(across, body | {"context": less})
    assert "context_missing" in answer.degraded
    assert "cross_market_features_incomplete" not in answer.degraded  # two of three symbols are there
    leaderless = {name: one for name, one in body["context"].items() if name != "SIMBTC"}
    answer = ask(across, body | {"context": leaderless})
    assert {"context_missing", "cross_market_features_incomplete"} <= set(answer.degraded)


def test_what_it_does_not_read_is_named_and_changes_nothing(across: Predictor, body: Body) -> None:
    plain = ask(across, body)
    nonsense = {"time": [5, 3], "close": [-1.0, None]}
    more = ask(across, body | {"context": body["context"] | {"ADAUSDT": nonsense, "AAVEUSDT": nonsense}})
    named = ["context_not_used", "context_not_used:AAVEUSDT", "context_not_used:ADAUSDT"]
    assert [name for name in more.degraded if name not in plain.degraded] == named
    same = more.model_copy(update={"degraded": plain.degraded})
    assert same == plain
    own = ask(across, body | {"context": body["context"] | {"SIMETH": nonsense}})
    assert own == plain  # the window's own closes are read from the window


def test_a_longer_context_is_cut_and_order_does_not_matter(across: Predictor, body: Body) -> None:
    earlier = {
        name: {
            "time": [one["time"][0] - 4 * 3_600_000 * k for k in range(9, 0, -1)] + one["time"],
            "close": [1.0] * 9 + one["close"],
        }
        for name, one in reversed(body["context"].items())
    }
    assert ask(across, body | {"context": earlier}) == ask(across, body)


def later(one: Body) -> Body:
    return {"time": [*one["time"], one["time"][-1] + 4 * 3_600_000], "close": [*one["close"], 5.0]}


def unsorted(one: Body) -> Body:
    return one | {"time": [one["time"][1], one["time"][0], *one["time"][2:]]}


def double(one: Body) -> Body:
    return one | {"time": [one["time"][1], *one["time"][1:]]}


def off_grid(one: Body) -> Body:
    return one | {"time": [one["time"][0] + 3_600_000, *one["time"][1:]]}


def worthless(one: Body) -> Body:
    return one | {"close": [0.0, *one["close"][1:]]}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        (later, "future_time", "time"),
        (unsorted, "unsorted_time", "time[1]"),
        (double, "double_time", "time[1]"),
        (off_grid, "wrong_interval", "time[0]"),
        (worthless, "bad_price", "close[0]"),
    ],
)
def test_a_context_that_breaks_a_rule_is_refused(
    across: Predictor, body: Body, change: Callable[[Body], Body], code: str, field: str
) -> None:
    broken = body["context"] | {"SIMSOL": change(body["context"]["SIMSOL"])}
    with pytest.raises(DataError) as refused:
        ask(across, body | {"context": broken})
    assert refused.value.code == code
    assert (refused.value.field or "").startswith(f"context.SIMSOL.{field}")
    assert refused.value.status == 422


def test_the_future_of_a_context_changes_no_answer(across: Predictor) -> None:
    made = with_context(histories())
    end = len(made[1]) - 30
    window = made[1].window(end, across.manifest.window_bars)
    changed = [
        replace(one, frame=one.frame.assign(close=one.frame["close"].where(one.time <= window.time[-1], 9.0)))
        for one in histories()
    ]
    other = with_context([histories()[1], changed[0], changed[2]])[0]
    assert across.answer(other.window(end, across.manifest.window_bars)) == across.answer(window)


def test_commands_fetch_the_context_from_where_the_symbol_is(
    places: Places, across: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("store", "bundles", "mlruns"):
        monkeypatch.setenv(f"BEARMODE_{name.upper()}", str(getattr(places, name)))
    out, answer = tmp_path / "replay.parquet", tmp_path / "answer.json"
    options = ["--since", "2022-02-18", "--symbols", "SIMETH", "--out", str(out)]
    assert CliRunner().invoke(app, ["replay", *options]).exit_code == 0
    done = CliRunner().invoke(
        app, ["predict", "SIMETH", "--as-of", "2022-02-19T20:00", "--json", str(answer)]
    )
    assert done.exit_code == 0, done.output
    content = json.loads(answer.read_text())
    row = pd.read_parquet(out).iloc[-1]
    assert content["probabilities"]["bear"] == row["p_bear"]
    assert not [name for name in content["degraded"] if "context" in name]
    joined = with_context(histories())[1]
    window = joined.window(len(joined) - 1, across.manifest.window_bars)
    assert across.answer(window).model_dump(mode="json") == content


def test_one_symbol_cannot_teach_to_look_across(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        train(histories()[:1], new_places(tmp_path), recipe=small_recipe(), features=FEATURES)
    assert refused.value.code == "no_context"


@pytest.mark.parametrize("universe", [[], ["SIMBTC"], ["SIMETH", "SIMBTC"], ["SIMBTC", "SIMBTC"]])
def test_a_universe_that_was_changed_by_hand_is_refused(
    across: Predictor, tmp_path: Path, universe: list[str]
) -> None:
    folder = Path(shutil.copytree(across.bundle.folder, tmp_path / "bundle"))
    content = json.loads((folder / "manifest.json").read_text()) | {"context_symbols": universe}
    (folder / "manifest.json").write_text(json.dumps(content))
    assert Manifest.model_validate(content).context_symbols == universe
    with pytest.raises(BundleError, match="context_symbols is"):
        Bundle(folder)
