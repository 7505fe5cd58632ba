"""A table made in parts, with memory let go between groups, has the bits of one made at once."""

from __future__ import annotations

import numpy as np
import pytest
from rich_histories import rich_history

from features import pipeline
from features.bars import Bars
from features.catalog import CATALOG
from features.pipeline import feature_matrix

FEATURES = tuple(feature for feature in CATALOG if feature.group != "liquidation_map")


@pytest.mark.parametrize("part", [90, 211])
@pytest.mark.parametrize("last", [None, 500])
def test_parts_have_the_bits_of_the_whole(
    part: int, last: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rich_history(170 * 6, "4h", seed=6, missing=(40, 300, 301, 900))
    whole = feature_matrix(made, FEATURES, last=last)
    monkeypatch.setattr(pipeline, "_PART", part)
    monkeypatch.setattr(pipeline, "_TURNED", 32)  # then each group lets go of the one before
    parts = feature_matrix(made, FEATURES, last=last)
    assert parts.flags.c_contiguous
    assert (parts.view(np.uint32) == whole.view(np.uint32)).all()


def test_no_feature_is_a_table_without_columns() -> None:
    made = rich_history(60, "1d")
    assert feature_matrix(made, ()).shape == (60, 0)
    assert feature_matrix(made, (), last=3).shape == (3, 0)


def test_what_was_forgotten_is_computed_again() -> None:
    made = rich_history(170 * 6, "4h", seed=6)
    bars = Bars(made, last=7)
    first = bars.recent_mean("log_close", bars.log_close, 20)
    close = bars.log_close
    bars.forget()
    assert bars.log_close is close
    again = bars.recent_mean("log_close", bars.log_close, 20)
    assert again is not first
    assert again.tobytes() == first.tobytes()
