"""Values kept as plain files come back to the last bit; what has no plain form is refused by name."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import TrainingError
from training.dataset import Dataset
from training.making.values import keep_value, kept_value
from training.making.work import Work
from training.retraining.outcome import Decided
from training.walk_forward import FittedModel, Walk


def test_a_fitted_model_answers_the_same_bits(walk: Walk, dataset: Dataset, tmp_path: Path) -> None:
    fitted = walk.models[-1]
    keep_value(tmp_path, "fitted", fitted)
    found = kept_value(tmp_path, "fitted", FittedModel)
    rows = dataset.X[:: max(1, len(dataset.X) // 400)]
    assert np.array_equal(found.probabilities(rows), fitted.probabilities(rows))
    assert np.array_equal(found.model.base_log_odds(rows), fitted.model.base_log_odds(rows))
    assert np.array_equal(found.train, fitted.train)
    assert (found.advice, found.decision) == (fitted.advice, fitted.decision)
    assert found.trained_until == fitted.trained_until
    assert isinstance(found.model.booster, lgb.Booster)
    assert not list(tmp_path.glob("*.pkl"))


def test_numpy_is_told_not_to_pickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "value.npz", a0=np.array([{"a": 1}], dtype=object))
    (tmp_path / "value.json").write_text('{"$kind": "array", "name": "a0"}')
    with pytest.raises(TrainingError, match="cannot be read back: ValueError: Object arrays"):
        kept_value(tmp_path, "value", np.ndarray)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_values_come_back_equal_and_of_the_same_type(value: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        keep_value(Path(folder), "value", [value])
        assert kept_value(Path(folder), "value", list) == [value]


def test_numbers_that_are_none_and_times(tmp_path: Path) -> None:
    stamp = pd.Timestamp("2024-02-29 12:00", tz="UTC").as_unit("ms")
    keep_value(tmp_path, "value", (math.nan, -math.inf, np.float64(0.1), stamp))
    nan, minus, tenth, back = kept_value(tmp_path, "value", tuple)
    assert math.isnan(nan)
    assert (minus, tenth) == (-math.inf, 0.1)
    assert back == stamp
    assert back.unit == stamp.unit


@dataclass
class Foreign:
    """A class of nobody's."""

    number: int = 1


@pytest.mark.parametrize("value", [Foreign(), {1, 2}, b"x", np.array([None, 1], dtype=object), lambda: 1])
def test_what_has_no_plain_form_is_refused_with_its_place(tmp_path: Path, value: object) -> None:
    with pytest.raises(TrainingError, match=re.escape("dict['here']")) as refused:
        keep_value(tmp_path, "value", {"here": value})
    assert refused.value.code == "cannot_keep"


@pytest.mark.parametrize(
    "name",
    ["os:system", "training.making.work:fingerprint", "subprocess:Popen", "training.making.work:Work"],
)
def test_a_file_can_name_nothing_but_data_classes_of_the_project(tmp_path: Path, name: str) -> None:
    content = {"$kind": "dataclass", "class": name, "fields": {}}
    (tmp_path / "value.json").write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="cannot be read back") as refused:
        kept_value(tmp_path, "value", object)
    assert refused.value.code == "not_kept"


def test_another_class_than_expected_and_no_file(tmp_path: Path) -> None:
    keep_value(tmp_path, "value", Decided("promoted", "why", "abc", None, ""))
    assert kept_value(tmp_path, "value", Decided).reason == "why"
    with pytest.raises(TrainingError, match="holds Decided, expected FittedModel"):
        kept_value(tmp_path, "value", FittedModel)
    with pytest.raises(TrainingError, match="cannot be read back"):
        kept_value(tmp_path, "nothing", FittedModel)


def made(work: Work, *more: object) -> None:
    with work.making("step", *more) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "value.txt").write_text("content")


def test_a_step_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    work = Work(tmp_path / "work", "inputs")
    assert work.kept("step").why == "not done yet"

    def stopped() -> None:
        with work.making("step") as folder:
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    assert work.kept("step").folder is None
    assert [path.name for path in work.folder.iterdir()] == [".making-step"]
    made(work)
    assert work.kept("step").folder == work.folder / "step"
    assert [path.name for path in work.folder.iterdir()] == ["step"]


def test_other_inputs_and_damage_make_a_step_undone(tmp_path: Path) -> None:
    work = Work(tmp_path, "inputs")
    made(work, "a", 1)
    assert work.kept("step", "a", 1).why == "done"
    assert work.kept("step", "a", 2).why == "what it is made from has changed"
    assert Work(tmp_path, "others").kept("step", "a", 1).why == "what it is made from has changed"
    value = tmp_path / "step" / "inner" / "value.txt"
    value.write_text("contenu")
    assert work.kept("step", "a", 1).why == f"damaged: inner{value.anchor}value.txt"
    value.unlink()
    assert work.kept("step", "a", 1).folder is None
    (tmp_path / "step" / "done.json").write_text("[]")
    assert work.kept("step", "a", 1).why == "damaged: done.json"
