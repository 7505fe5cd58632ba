"""The catalogue: its declarations, and the form of the table that it gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from histories import history
from rich_histories import COLUMNS, rich_history

from features.bars import Bars
from features.catalog import CATALOG, feature_names, longest_lookback, select
from features.context import CONTEXT
from features.declaration import GROUPS, Feature
from features.errors import UsageError
from features.families.funding import rate_per_8h
from features.history import REQUIRED_COLUMNS
from features.pipeline import feature_matrix, feature_table
from features.raw import INTERVALS, bars_per_day

PRICES = {"open", "high", "low", "close"}
FUNDING = {"funding_rate", "funding_interval_hours"}
INPUTS = {
    "trend": PRICES,
    "exhaustion": PRICES,
    "label_path": {"close"},
    "volatility": PRICES,
    "volume": PRICES | {"volume"},
    "funding": FUNDING | {"close"},
    "calendar": {"funding_interval_hours"},
    "open_interest": {"open_interest", "close", "volume"},
    "liquidation_map": PRICES | {"volume", "open_interest"},
    "positioning": {name for name in COLUMNS if name.startswith(("liq_", "lsr_", "taker_"))}
    | {"open_interest", "exchange_inflow"},
    "sentiment": {"fear_greed", "put_call"},
    "cross_market": {"close", CONTEXT},
}
OWN = {
    "volume": "volume",
    "open_interest": "open_interest",
    "liquidation_map": "open_interest",
    "funding": "funding_rate",
    "cross_market": CONTEXT,
}
"""The column without which a feature would not be of its group."""


def test_there_are_two_hundred_features_with_unique_names_in_catalogue_order() -> None:
    assert len(CATALOG) >= 200
    assert feature_names() == tuple(feature.name for feature in CATALOG)
    assert len(set(feature_names())) == len(CATALOG)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in feature_names())


def test_groups_stand_together_in_their_order() -> None:
    assert [group for group, _ in groupby(CATALOG, key=lambda feature: feature.group)] == list(GROUPS)


@pytest.mark.parametrize("feature", CATALOG, ids=lambda feature: feature.name)
def test_a_declaration_is_whole(feature: Feature) -> None:
    assert set(feature.inputs) <= INPUTS[feature.group]
    assert OWN.get(feature.group, feature.inputs[0]) in feature.inputs
    assert len(set(feature.inputs)) == len(feature.inputs) > 0
    assert feature.unit
    assert feature.words
    assert 0 <= feature.lookback_days <= 151
    assert re.search(r"bear|bull|ranging|range|relief rally|regime|none by itself", feature.tells)
    assert re.search(r"\(\d{4}\), |^trader practice: |^exchange page: |^index page: ", feature.source)


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_longest_look_back_is_at_most_151_days_and_one_bar(interval: str) -> None:
    per_day = bars_per_day(interval)
    assert longest_lookback(CATALOG, per_day) == 151 * per_day + 1
    assert longest_lookback(select(["efficiency_3d", "efficiency_10d"]), per_day) == 10 * per_day + 1


def test_the_schema_is_json_and_says_look_back_in_bars() -> None:
    schema = json.loads(json.dumps([feature.schema(24) for feature in CATALOG]))
    assert [one["name"] for one in schema] == list(feature_names())
    assert {tuple(one) for one in schema} == {("name", "group", "lookback_bars", "unit", "inputs", "words")}
    assert next(one["lookback_bars"] for one in schema if one["name"] == "efficiency_3d") == 73


def test_the_matrix_is_float32_contiguous_and_finite_or_nan() -> None:
    made = rich_history(155 * 24, missing=(500,))
    matrix = feature_matrix(made)
    assert (matrix.dtype, matrix.shape) == (np.dtype(np.float32), (len(made), len(CATALOG)))
    assert matrix.flags.c_contiguous
    assert not np.isinf(matrix).any()
    assert np.isfinite(matrix[-1]).all()
    table = feature_table(made)
    assert tuple(table.columns) == feature_names()
    assert table.index.equals(made.time)
    assert table.to_numpy().tobytes() == matrix.tobytes()


def test_only_what_reads_an_optional_column_is_missing_without_them() -> None:
    made = history(155 * 24)
    made = replace(made, frame=made.frame.drop(columns=["lsr_global", "fear_greed"]))
    missing = {
        feature.name
        for feature, last in zip(CATALOG, feature_matrix(made)[-1], strict=True)
        if np.isnan(last)
    }
    assert missing == {
        feature.name for feature in CATALOG if not set(feature.inputs) <= set(REQUIRED_COLUMNS)
    }


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_no_infinity_leaves_the_pipeline(value: float) -> None:
    def compute(bars: Bars) -> np.ndarray:
        return np.full(bars.size, value)

    wild = Feature("wild", "trend", 1, "sd", ("close",), "too large", compute, "", "")
    assert np.isnan(feature_matrix(history(10), (wild,))).all()


def test_a_price_that_never_moves_gives_nan_and_no_infinity() -> None:
    made = rich_history(130 * 24)
    for name in PRICES:
        made.frame[name] = 7.0
    row = dict(zip(feature_names(), feature_matrix(made)[-1], strict=True))
    assert not np.isinf(list(row.values())).any()
    for name in ("return_1d", "trend_line_30d", "skew_7d", "range_position_20d", "upper_wick_1d"):
        assert np.isnan(row[name]), name
    assert (row["run_of_days_10d"], row["cross_age_5d_20d"]) == (0.0, 0.0)


@pytest.mark.parametrize("n", [1, 2, 3, 25])
@pytest.mark.parametrize("interval", INTERVALS)
def test_a_history_of_a_few_bars_gives_a_row_for_each(n: int, interval: str) -> None:
    made = rich_history(n, interval)
    assert feature_matrix(made).shape == feature_matrix(made, last=50).shape == (n, len(CATALOG))


def test_select_keeps_the_order_given_and_refuses_what_is_not_there() -> None:
    assert [feature.name for feature in select(["return_2d", "return_1d"])] == ["return_2d", "return_1d"]
    with pytest.raises(UsageError) as caught:
        select(["return_1d", "crystal_ball"])
    assert caught.value.code == "unknown_feature"
    assert "crystal_ball" in caught.value.message


def test_rates_compare_per_8_hours_whatever_the_interval_of_the_contract() -> None:
    made = history(48)
    made.frame["funding_rate"] = 2e-4
    made.frame["funding_interval_hours"] = 4.0
    np.testing.assert_allclose(rate_per_8h(Bars(made)), 4e-4)
