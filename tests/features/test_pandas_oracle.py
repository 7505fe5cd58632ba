"""Every feature that plain pandas can say has the values that plain pandas gives it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import LONG
from rich_histories import rich_history

from benchmarks.pandas_oracle import LEFT_OUT, differing, oracle_table, said_in_pandas
from features.catalog import CATALOG
from features.history import History
from features.pipeline import feature_matrix

FEATURES = said_in_pandas(CATALOG)
GAPS = (41, 900, 901, 902, 903, 1000)


def made(seed: int = 3) -> History:
    """Hourly bars with gaps, long enough for every look-back, and with BTC among its neighbours."""
    return rich_history(150 * 24, seed=seed, missing=GAPS)


@pytest.mark.parametrize("seed", range(8 if LONG else 1))
def test_the_table_has_the_values_of_plain_pandas(seed: int) -> None:
    history = made(seed)
    oracle = oracle_table(history)
    assert set(oracle.columns) == {feature.name for feature in FEATURES}
    matrix = feature_matrix(history, FEATURES)
    assert dict(differing(history, matrix, FEATURES, oracle)) == {}
    there = np.isfinite(matrix[121 * 24 :]).mean(axis=0)
    assert there.min() > 0.2  # there was something to compare


def test_what_is_left_out_is_named() -> None:
    left = {feature.group for feature in CATALOG} - {feature.group for feature in FEATURES}
    assert left == LEFT_OUT


def test_a_wrong_value_is_found() -> None:
    history = made()
    oracle, matrix = oracle_table(history), feature_matrix(history, FEATURES)
    names = [feature.name for feature in FEATURES]
    for name in ("return_14d", "funding_rank_7d_in_60d", "breadth_20d"):
        matrix[-5, names.index(name)] += np.float32(2.0)
    matrix[-6, names.index("high_age_20d")] = np.nan
    assert dict(differing(history, matrix, FEATURES, oracle)) == {
        **dict.fromkeys(("return_14d", "funding_rank_7d_in_60d", "breadth_20d", "high_age_20d"), 1)
    }


def test_ranks_by_apply_are_ranks_by_the_time_of_day() -> None:
    history = made()
    history = replace(history.part(0, 100 * 24), context={})
    from benchmarks.pandas_oracle_trend import exhaustion

    quick = oracle_table(history, (exhaustion,))
    plain = oracle_table(history, (exhaustion,), ranks_by_apply=True)
    names = [str(name) for name in quick if "rank" in str(name)]
    assert names
    begin = 97 * 24  # its ranks begin with fewer days than they ask for
    np.testing.assert_allclose(plain[names].iloc[begin:], quick[names].iloc[begin:], rtol=1e-6)
