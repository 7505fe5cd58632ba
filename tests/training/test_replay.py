"""The replay: for each bar what the endpoint would have answered then, and by which model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_training import GAP, LONG, Trained, small_histories

from features.errors import BundleError
from features.history import History
from features.regimes import REGIMES
from serving.bundle import Bundle
from serving.predictor import Predictor
from serving.window import window_request
from training.dataset import Dataset
from training.demo import serving
from training.replay import replay, replay_models
from training.walk_forward import Walk

CONTRACT = {
    "time",
    "symbol",
    "regime",
    *(f"p_{name}" for name in REGIMES),
    "side",
    "short_share",
    "size_factor",
    "leverage",
    "model_version",
    "in_sample",
    "reason",
}
SINCE = pd.Timestamp("2021-11-25", tz="UTC")


@pytest.fixture(scope="module")
def walked(trained: Trained) -> pd.DataFrame:
    """The walk-forward replay of both symbols."""
    models = replay_models(trained.places.bundles, walk_forward=True)
    return replay(small_histories(), models, since=SINCE)


@pytest.fixture(scope="module")
def champion(trained: Trained) -> pd.DataFrame:
    """The champion's replay of both symbols."""
    return replay(small_histories(), replay_models(trained.places.bundles, walk_forward=False), since=SINCE)


def fold_bundles(trained: Trained) -> dict[str, Bundle]:
    folder = trained.bundle.with_name(f"{trained.bundle.name}.walk-forward")
    return {path.name: Bundle(path) for path in sorted(folder.glob("20*"))}


@pytest.mark.parametrize("kind", ["walked", "champion"])
def test_a_row_for_every_bar_that_was_asked_for(kind: str, request: pytest.FixtureRequest) -> None:
    frame: pd.DataFrame = request.getfixturevalue(kind)
    assert set(frame.columns) >= CONTRACT
    assert str(frame["time"].dtype) == "datetime64[ms, UTC]"
    for history in small_histories():
        mine = frame[frame["symbol"] == history.symbol]
        assert list(mine["time"]) == list(history.time[history.time >= SINCE])
    answered = frame["regime"].notna()
    assert set(frame.loc[answered, "regime"]) <= set(REGIMES)
    assert frame.loc[answered, "reason"].isna().all()
    assert frame.loc[~answered, "reason"].notna().all()
    p = frame[[f"p_{name}" for name in REGIMES]]
    assert p[answered].sum(axis=1).to_numpy() == pytest.approx(np.ones(answered.sum()))
    assert p[~answered].isna().all().all()
    assert frame.loc[answered, "leverage"].between(0, 5).all()


def test_before_the_first_fold_there_is_no_model_yet(walked: pd.DataFrame) -> None:
    before = walked["time"] < pd.Timestamp("2022-01-01", tz="UTC")
    assert before.any()
    assert walked.loc[before, "regime"].isna().all()
    assert set(walked.loc[before, "reason"]) == {"no_model_yet"}
    assert walked.loc[before, "model_version"].isna().all()
    assert not walked.loc[before, "in_sample"].any()
    assert "no_model_yet" not in set(walked.loc[~before, "reason"])


def test_a_missing_bar_has_no_answer_and_its_neighbours_have_one(walked: pd.DataFrame) -> None:
    hole = walked[(walked["symbol"] == "SIMETH") & (walked["reason"] == "last_bar_missing")]
    assert list(hole["time"]) == [GAP + k * pd.Timedelta(hours=4) for k in range(3)]
    rest = walked[(walked["time"] >= pd.Timestamp("2022-01-01", tz="UTC")) & walked["regime"].isna()]
    assert len(rest) == 3
    after = walked[(walked["symbol"] == "SIMETH") & (walked["time"] == GAP + pd.Timedelta(hours=12))]
    assert "missing_bars" in after["degraded"].iloc[0].split(",")


def test_each_bar_is_answered_by_its_half_year_s_model_which_saw_nothing_of_it(
    walked: pd.DataFrame, trained: Trained
) -> None:
    later = walked[walked["time"] >= pd.Timestamp("2022-01-01", tz="UTC")]
    for name, bundle in fold_bundles(trained).items():
        start = pd.Timestamp(f"{name}-01", tz="UTC")
        end = start + pd.DateOffset(months=6)
        mine = later[(later["time"] >= start) & (later["time"] < end)]
        assert set(mine["model_version"]) == {bundle.version}
        training = bundle.manifest.training
        assert pd.Timestamp(training.trained_until) == start - pd.Timedelta(days=5)
        assert pd.Timestamp(training.last_label) < mine["time"].min()
    assert not later["in_sample"].any()


def test_the_champion_is_in_sample_as_far_as_it_saw(champion: pd.DataFrame, predictor: Predictor) -> None:
    last = pd.Timestamp(predictor.manifest.training.trained_until)
    # labels use prices of the 20 days after their bar
    assert last > pd.Timestamp(predictor.manifest.training.last_label) + pd.Timedelta(days=19)
    assert (champion["in_sample"] == (champion["time"] <= last)).all()
    assert champion["in_sample"].any()
    assert set(champion["model_version"]) == {predictor.version}


def test_the_walk_that_was_scored_is_the_walk_that_is_served(
    walked: pd.DataFrame, walk: Walk, dataset: Dataset
) -> None:
    """Scores are of the LightGBM model, answers of the graph in a bundle: the same regimes everywhere."""
    rows = np.flatnonzero((walk.fold >= 0) & dataset.present)
    scored = pd.DataFrame(
        {
            "time": dataset.time[rows],
            "symbol": np.array(dataset.symbols)[dataset.symbol[rows]],
            "scored": np.array(REGIMES)[walk.regime[rows]],
            **{f"scored_{name}": walk.probabilities[rows, k] for k, name in enumerate(REGIMES)},
        }
    )
    both = scored.merge(walked, on=["time", "symbol"], how="left")
    assert len(both) == len(rows) > 4000
    assert (both["regime"] == both["scored"]).all()
    for name in REGIMES:
        assert both[f"p_{name}"].to_numpy() == pytest.approx(both[f"scored_{name}"].to_numpy(), abs=1e-6)
    assert both["regime"].nunique() == 4


def test_a_cut_replay_has_the_rows_of_the_whole_one(walked: pd.DataFrame, trained: Trained) -> None:
    models = replay_models(trained.places.bundles, walk_forward=True)
    since, until = pd.Timestamp("2022-06-29", tz="UTC"), pd.Timestamp("2022-07-03", tz="UTC")
    part = replay(small_histories(), models, since=since, until=until)
    inside = walked[(walked["time"] >= since) & (walked["time"] < until)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, inside)
    assert part["model_version"].nunique() == 2


def test_a_file_without_an_answer_has_the_types_of_one_with_answers(
    walked: pd.DataFrame, trained: Trained, tmp_path: Path
) -> None:
    models = replay_models(trained.places.bundles, walk_forward=True)
    nothing = replay(small_histories(), models, since=SINCE, until=SINCE + pd.Timedelta(days=2))
    empty = replay([], models, since=SINCE)
    assert len(empty) == 0 < len(nothing)
    assert nothing["regime"].isna().all()
    for name, frame in (("walked", walked), ("nothing", nothing), ("empty", empty)):
        frame.to_parquet(tmp_path / name)
    schemas = {
        str(pq.read_schema(tmp_path / name).remove_metadata()) for name in ("walked", "nothing", "empty")
    }
    assert len(schemas) == 1
    assert "null" not in schemas.pop()


def test_a_cut_history_has_the_rows_of_the_whole_one(walked: pd.DataFrame, trained: Trained) -> None:
    """What comes later changes no answer."""
    models = replay_models(trained.places.bundles, walk_forward=True)
    until = pd.Timestamp("2022-03-05 08:00", tz="UTC")
    histories = [history.between(None, until) for history in small_histories()]
    part = replay(histories, models, since=SINCE)
    whole = walked[walked["time"] < until].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, whole)


def sampled(history: History, window: int) -> list[int]:
    around = int((history.time < GAP).sum())
    return [
        window - 1,
        around - 1,
        around + 3,
        around + 4,
        len(history) - 1,
        *range(window + 33, 4000, 100 if LONG else 700),
    ]


def orders(row: dict[Any, Any]) -> dict[str, Any]:
    """The columns of the plan; ``None`` where the row has none."""
    names = [f"tranche_{n}_{part}" for n in (1, 2, 3) for part in ("share", "price", "trigger")]
    names += ["stop_price", "target_price", "worst_liquidation_price", "rally_phase", "funding_per_day"]
    names += [f"band_{edge}" for edge in ("lower", "mean", "upper")]
    return {name: None if pd.isna(row[name]) else row[name] for name in names}


def served_orders(advice: dict[str, Any]) -> dict[str, Any]:
    """The same out of an answer's JSON."""
    tranches = advice["tranches"] or [{}, {}, {}]
    return {
        **{
            f"tranche_{n}_{k}": tranches[n - 1].get(k)
            for n in (1, 2, 3)
            for k in ("share", "price", "trigger")
        },
        **{name: advice[name] for name in ("stop_price", "target_price")},
        "worst_liquidation_price": advice["survival"]["worst_liquidation_price"],
        "rally_phase": (advice["rally"] or {}).get("phase"),
        "funding_per_day": (advice["funding_per_day"] or {}).get("rate"),
        **{f"band_{edge}": (advice["band"] or {}).get(edge) for edge in ("lower", "mean", "upper")},
    }


def test_a_plan_is_whole_or_not_there(walked: pd.DataFrame) -> None:
    prices = [f"tranche_{n}_price" for n in (1, 2, 3)]
    planned = walked[walked["stop_price"].notna()]
    rest = walked[walked["stop_price"].isna()]
    assert len(planned) > 1000 < len(rest)
    assert rest[prices].isna().all(axis=None)
    assert ((rest["side"].isna()) | (rest["side"] == "flat") | (rest["leverage"] == 0)).all()
    against = np.where(planned["side"] == "short", 1.0, -1.0)
    ladder = planned[[*prices, "stop_price"]].to_numpy()
    assert (np.diff(ladder, axis=1) * against[:, None] >= 0).all()
    assert planned[[f"tranche_{n}_share" for n in (1, 2, 3)]].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert set(planned["tranche_3_trigger"]) == {"reserve"}


def test_the_endpoint_answers_what_the_replay_says(
    trained: Trained, champion: pd.DataFrame, predictor: Predictor
) -> None:
    """Over real HTTP, to the last bit of every number."""
    histories = small_histories()
    models = replay_models(trained.places.bundles, walk_forward=False)
    early = replay(histories, models, since=histories[0].time[0])
    frame = dict(zip(zip(early["symbol"], early["time"], strict=True), early.to_dict("records"), strict=True))
    checked = 0
    with serving(trained.bundle) as address, httpx.Client(base_url=address, trust_env=False) as client:
        for history in histories:
            for end in sampled(history, predictor.manifest.window_bars):
                row = frame[history.symbol, history.time[end]]
                request = window_request(history.window(end, predictor.manifest.window_bars))
                response = client.post("/v1/predict", json=request, timeout=30)
                assert response.status_code == 200, response.text
                answer = response.json()
                assert row["regime"] == answer["regime"]
                for name in REGIMES:
                    assert row[f"p_{name}"] == answer["probabilities"][name]
                for name in ("side", "short_share", "size_factor", "leverage", "leverage_short"):
                    assert row[name] == answer["advice"][name]
                assert orders(row) == served_orders(answer["advice"])
                assert row["model_version"] == answer["model"]["version"]
                assert row["degraded"] == ",".join(answer["degraded"])
                assert row["since"] == pd.Timestamp(answer["since"])
                checked += 1
        hole = int((histories[1].time < GAP).sum())
        request = window_request(histories[1].window(hole, predictor.manifest.window_bars))
        refused = client.post("/v1/predict", json=request, timeout=30)
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "last_bar_missing"
        assert frame["SIMETH", histories[1].time[hole]]["reason"] == "last_bar_missing"
    assert checked >= 16
    assert early["regime"].nunique() == 4


def test_without_fold_bundles_there_is_no_walk_forward(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model has been promoted"):
        replay_models(tmp_path, walk_forward=True)
    alone = tmp_path / "alone"
    alone.symlink_to(trained.bundle)
    with pytest.raises(BundleError, match="has no walk-forward models beside it"):
        replay_models(tmp_path, walk_forward=True, bundle=alone)
