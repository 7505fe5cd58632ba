"""Shadow mode: two models on bars that neither has seen, and who was right once labels are confirmed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from retrain_places import Start, serving_version
from small_training import small_histories

from features.errors import BundleError, NothingUsableError, UsageError
from features.history import History
from features.regimes import REGIMES
from serving.predictor import Predictor
from training.evaluation import scores
from training.replay import ReplayModel, replay
from training.retraining.journal import Journal
from training.retraining.shadow import challenger_version, shadow
from training.shadow import shadow_command

LIVE_UNTIL = pd.Timestamp("2022-09-15", tz="UTC")


@pytest.fixture
def live() -> list[History]:
    """The newer model ends with 2022-05-31."""
    return [small_histories()[0].between(None, LIVE_UNTIL)]


def test_losses_and_agreement_equal_those_of_two_replays(retrained: Start, live: list[History]) -> None:
    """The former champion stands in for a challenger: both are installed."""
    bundles = retrained.places.bundles
    found = shadow(bundles, retrained_before(retrained), live)
    assert found.champion == serving_version(retrained.places)
    names = (found.champion, found.challenger)
    models = [Predictor.load(bundles / name) for name in names]
    seen = max(pd.Timestamp(one.manifest.training.trained_until) for one in models)
    since = pd.Timestamp(found.since)
    assert since == seen + pd.Timedelta(hours=4), "the first bar after both were trained"
    frames = [replay(live, [ReplayModel(one, None, None)], since=since) for one in models]
    assert not any(frame["in_sample"].any() for frame in frames)
    p, q = (frame[[f"p_{name}" for name in REGIMES]].to_numpy(float) for frame in frames)
    same = (frames[0]["regime"] == frames[1]["regime"]).to_numpy()
    assert found.bars == len(frames[0]) > 300
    assert found.agreement == pytest.approx(same.mean())
    mean = (p + q) / 2
    apart = (p * np.log(p / mean)).sum(1) / 2 + (q * np.log(q / mean)).sum(1) / 2
    assert found.divergence == pytest.approx(apart.mean(), rel=1e-6)
    assert sum(found.differing.values()) == int((~same).sum())
    from features.regimes import hindsight_regimes

    y = hindsight_regimes(live[0]).set_index(live[0].time)["regime"].reindex(frames[0]["time"])
    known = y.notna().to_numpy()
    assert found.confirmed_rows == known.sum() > 50
    assert 1 <= found.confirmed_spells < found.confirmed_rows
    for name, table in zip(("champion", "challenger"), (p, q), strict=True):
        expected = scores(table[known], y[known].to_numpy(np.int8))
        assert found.log_loss[name] == pytest.approx(expected["log_loss"])


def retrained_before(start: Start) -> str:
    """Version of the champion before the last."""
    found = [one for one in Journal(start.places.bundles).entries() if one["action"] == "promotion"]
    return str(found[0]["version"])


def test_before_any_new_bar_there_is_nothing_to_say(
    retrained: Start, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    history = small_histories()[0].between(None, pd.Timestamp("2022-06-01", tz="UTC"))
    found = shadow(retrained.places.bundles, retrained_before(retrained), [history])
    assert (found.bars, found.agreement, found.log_loss) == (0, None, {})
    out = tmp_path / "shadow.json"
    shadow_command(retrained_before(retrained), "SIMBTC", retrained.places, until="2022-06-01", json=out)
    assert "have no bar yet that neither has seen" in capsys.readouterr().out
    assert json.loads(out.read_text())["bars"] == 0


def test_before_labels_are_confirmed_only_agreement_is_told(
    retrained: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    shadow_command(retrained_before(retrained), "SIMBTC", retrained.places, until="2022-06-08")
    output = capsys.readouterr().out
    assert "42 bars" in output
    assert "no label is confirmed yet" in output
    assert "log loss" not in output


def test_the_challenger_is_the_newest_that_was_judged_and_does_not_serve(retrained: Start) -> None:
    bundles = retrained.places.bundles
    with pytest.raises(UsageError, match="no challenger is installed"):
        challenger_version(bundles, None)
    older, newer = "a" * 12, "b" * 12
    for version in (older, newer):
        shutil.copytree(bundles / retrained_before(retrained), bundles / version)
        Journal(bundles).append({"action": "refusal", "version": version})
    assert challenger_version(bundles, None) == newer
    shutil.rmtree(bundles / newer)
    assert challenger_version(bundles, None) == older


@pytest.mark.parametrize("version", ["", "../../etc", "0123456789ABCDEF", "latest", "a" * 64])
def test_a_name_that_is_no_version_is_refused(retrained: Start, version: str) -> None:
    with pytest.raises(UsageError, match="is no version of a bundle"):
        challenger_version(retrained.places.bundles, version)


def test_the_champion_against_itself_a_missing_and_a_renamed_bundle(
    retrained: Start, live: list[History]
) -> None:
    bundles = retrained.places.bundles
    with pytest.raises(UsageError, match="is the champion"):
        challenger_version(bundles, serving_version(retrained.places))
    with pytest.raises(BundleError, match="holds no bundle 0123456789ab"):
        shadow(bundles, "0123456789ab", live)
    shutil.copytree(bundles / retrained_before(retrained), bundles / ("c" * 12))
    with pytest.raises(BundleError, match=f"holds bundle {retrained_before(retrained)}"):
        shadow(bundles, "c" * 12, live)
    with pytest.raises(NothingUsableError, match="no history"):
        shadow(bundles, retrained_before(retrained), [])
