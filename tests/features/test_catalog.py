"""The catalogue: its declarations, and the form of the table that it gives."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from histories import history

from features.bars import Bars
from features.catalog import CATALOG, feature_names, longest_lookback, select
from features.declaration import Feature
from features.errors import UsageError
from features.funding import rate_per_8h
from features.history import REQUIRED_COLUMNS, History
from features.pipeline import feature_matrix, feature_table
from features.raw import INTERVALS, bars_per_day

GROUPS = {
    "trend": {"high", "low", "close"},
    "volatility": {"high", "low", "close"},
    "volume": {"volume"},
    "funding": {"funding_rate", "funding_interval_hours"},
    "open_interest": {"open_interest", "close"},
}


def test_there_are_at_least_forty_features_with_unique_names_in_catalogue_order() -> None:
    assert len(CATALOG) >= 40
    assert feature_names() == tuple(feature.name for feature in CATALOG)
    assert len(set(feature_names())) == len(CATALOG)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in feature_names())


@pytest.mark.parametrize("feature", CATALOG, ids=lambda feature: feature.name)
def test_a_declaration_is_whole(feature: Feature) -> None:
    assert set(feature.inputs) <= GROUPS[feature.group]
    assert set(feature.inputs) <= set(REQUIRED_COLUMNS)
    assert len(set(feature.inputs)) == len(feature.inputs) > 0
    assert ("open_interest" in feature.inputs) == (feature.group == "open_interest")
    assert feature.unit
    assert feature.words
    assert 0 < feature.lookback_days <= 120


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_longest_look_back_is_at_most_120_days_and_one_bar(interval: str) -> None:
    per_day = bars_per_day(interval)
    assert longest_lookback(CATALOG, per_day) == 120 * per_day + 1
    assert longest_lookback(select(["efficiency_3d", "efficiency_10d"]), per_day) == 10 * per_day + 1


def test_the_schema_is_json_and_says_look_back_in_bars() -> None:
    schema = json.loads(json.dumps([feature.schema(24) for feature in CATALOG]))
    assert [one["name"] for one in schema] == list(feature_names())
    assert {tuple(one) for one in schema} == {("name", "group", "lookback_bars", "unit", "inputs", "words")}
    assert next(one["lookback_bars"] for one in schema if one["name"] == "efficiency_3d") == 73


def test_the_matrix_is_float32_contiguous_and_finite_or_nan() -> None:
    made = history(150 * 24, missing=(500,))
    matrix = feature_matrix(made)
    assert (matrix.dtype, matrix.shape) == (np.dtype(np.float32), (len(made), len(CATALOG)))
    assert matrix.flags.c_contiguous
    assert not np.isinf(matrix).any()
    assert np.isfinite(matrix[-1]).all()
    table = feature_table(made)
    assert tuple(table.columns) == feature_names()
    assert table.index.equals(made.time)
    assert table.to_numpy().tobytes() == matrix.tobytes()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_no_infinity_leaves_the_pipeline(value: float) -> None:
    wild = Feature("wild", "trend", 1, "sd", ("close",), "too large", lambda bars: np.full(bars.size, value))
    assert np.isnan(feature_matrix(history(10), (wild,))).all()


def test_a_price_that_never_moves_gives_nan_and_no_infinity() -> None:
    made = history(130 * 24)
    for name in ("open", "high", "low", "close"):
        made.frame[name] = 7.0
    matrix = feature_matrix(made)
    assert not np.isinf(matrix).any()
    assert np.isnan(matrix[-1, feature_names().index("return_1d")])


def test_select_keeps_the_order_given_and_refuses_what_is_not_there() -> None:
    assert [feature.name for feature in select(["return_2d", "return_1d"])] == ["return_2d", "return_1d"]
    with pytest.raises(UsageError) as caught:
        select(["return_1d", "crystal_ball"])
    assert caught.value.code == "unknown_feature"
    assert "crystal_ball" in caught.value.message


def last_value(name: str, made: History) -> float:
    return float(feature_matrix(made, select([name]))[-1, 0])


def test_some_values_against_their_formula_in_words() -> None:
    made = history(125 * 24, seed=5)
    close, high, volume = (made.column(name) for name in ("close", "high", "volume"))
    p = np.log(close)
    squared = np.diff(p) ** 2
    sigma = np.sqrt(np.mean([squared[-days * 24 :].mean() * 24 for days in (15, 30, 60, 119)]))
    path = np.abs(np.diff(p)[-72:]).sum()
    rate = made.column("funding_rate")[-7 * 24 :]
    interest = np.log(made.column("open_interest")[23::24])
    # 60 days of bars that end at midnight: one bar of the newest day end, 23 of the one 60 days before
    daily = np.diff(interest)[-61:] ** 2
    sd = np.sqrt((daily[-1] + 24 * daily[1:-1].sum() + 23 * daily[0]) / (60 * 24))
    expected = {
        "return_4h": (p[-1] - p[-5]) / (sigma * np.sqrt(4 / 24)),
        "return_20d": (p[-1] - p[-481]) / (sigma * np.sqrt(20)),
        "above_mean_10d": (p[-1] - p[-240:].mean()) / (sigma * np.sqrt(10)),
        "below_high_7d": (p[-1] - np.log(high[-168:].max())) / (sigma * np.sqrt(7)),
        "efficiency_3d": (p[-1] - p[-73]) / path,
        "rising_bars_5d": (np.diff(p)[-120:] > 0).mean(),
        "volatility_3d_over_30d": 0.5 * np.log(squared[-72:].mean() / squared[-720:].mean()),
        "volume_1d_over_30d": np.log(volume[-24:].mean() / volume[-720:].mean()),
        "funding_level_7d": np.arcsinh(rate.mean() / 1e-4),
        "funding_negative_7d": (rate < 0).mean(),
        "interest_change_7d": (interest[-1] - interest[-8]) / (sd * np.sqrt(7)),
        "interest_below_peak_30d": (interest[-1] - interest[-30:].max()) / (sd * np.sqrt(30)),
        "interest_rank_90d": (interest[-91:-1] < interest[-1]).mean(),
    }
    assert made.time[-1].hour == 0
    for name, value in expected.items():
        assert last_value(name, made) == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_rates_compare_per_8_hours_whatever_the_interval_of_the_contract() -> None:
    made = history(48)
    made.frame["funding_rate"] = 2e-4
    made.frame["funding_interval_hours"] = 4.0
    np.testing.assert_allclose(rate_per_8h(Bars(made)), 4e-4)
