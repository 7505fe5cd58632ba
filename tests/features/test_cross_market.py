"""Features across markets: their values by plain pandas, whose they are, and what they stand without."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from histories import FloatArray, raw_market
from rich_histories import CONTEXT_COLUMNS, changed, rich_history

from features.catalog import CATALOG, select
from features.context import closes_of, with_context
from features.declaration import Feature
from features.families.breadth import breadth_features
from features.families.leader import beside_leader_features, leader_features
from features.history import History
from features.pipeline import feature_matrix

CROSS = tuple(feature for feature in CATALOG if feature.group == "cross_market")
NAMES = [feature.name for feature in CROSS]
UNIVERSE = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")


@cache
def market() -> tuple[History, ...]:
    """Five symbols of 4-hour bars, moved by one common cause, two of them with holes."""
    made = []
    common = np.random.default_rng(9).normal(0, 0.01, 170 * 6).cumsum()
    for seed, name in enumerate(UNIVERSE):
        raw = raw_market(170 * 6, "4h", seed=seed + 20)
        bars = raw.bars.copy()
        for column in ("open", "high", "low", "close"):
            bars[column] *= np.exp(common * (0.6 + 0.2 * seed))
        gone = [300, 301, 900 + seed] if seed in {1, 3} else []
        made.append(
            replace(raw, symbol=name, bars=bars.drop(index=gone).reset_index(drop=True), positioning=None)
        )
    return tuple(with_context([History.from_raw(raw) for raw in made]))


def table(history: History, features: tuple[Feature, ...] = CROSS) -> pd.DataFrame:
    names = [feature.name for feature in features]
    return pd.DataFrame(feature_matrix(history, features), index=history.time, columns=names)


def whole(rolled: pd.DataFrame, n: int) -> pd.DataFrame:
    """Nothing before there are ``n`` bars, missing or not."""
    made = rolled.copy()
    made.iloc[: n - 1] = np.nan
    return made


def rolled(values: pd.DataFrame, days: float) -> pd.DataFrame:
    n = round(days * 6)
    return whole(values.rolling(n, min_periods=int(np.ceil(0.95 * n))).mean(), n)


def oracle(own: str) -> pd.DataFrame:
    """All of them again, without a line of the code that is tested."""
    logs = pd.DataFrame({history.symbol: np.log(history.frame["close"]) for history in market()})
    r = logs.diff()
    sigma = np.sqrt(sum(rolled(r**2, days) * 6 for days in (15, 30, 60, 119)) / 4)
    sd30 = (rolled(r**2, 30) * 6) ** 0.5
    out = {}
    for days in (1, 3, 7, 30):
        out[f"leader_return_{days}d"] = (logs.diff(6 * days) / (sigma * np.sqrt(days)))["BTCUSDT"]
    for days in (20, 100):
        out[f"leader_above_mean_{days}d"] = ((logs - rolled(logs, days)) / (sigma * np.sqrt(days)))["BTCUSDT"]
    high = whole(logs.rolling(360, min_periods=342).max(), 360)
    out["leader_below_high_60d"] = ((logs - high) / (sigma * np.sqrt(60)))["BTCUSDT"]
    for days in (7, 30):
        gap = logs[own].diff(6 * days) - logs["BTCUSDT"].diff(6 * days)
        out[f"relative_return_{days}d"] = gap / (sigma[own] * np.sqrt(days))
    both = r[[own]].notna().to_numpy() & r[["BTCUSDT"]].notna().to_numpy()
    x, y = r[[own]].where(both), r[["BTCUSDT"]].where(both)
    product = rolled(pd.DataFrame({"p": x[own] * y["BTCUSDT"]}), 30)["p"]
    squares = rolled(x**2, 30)[own], rolled(y**2, 30)["BTCUSDT"]
    out["leader_beta_30d"] = product / squares[1]
    out["leader_correlation_30d"] = product / np.sqrt(squares[0] * squares[1])

    def across(values: pd.DataFrame) -> pd.Series:
        return values.mean(axis=1).where(values.notna().sum(axis=1) >= 3)

    for days in (20, 60):
        above = logs - rolled(logs, days)
        out[f"breadth_{days}d"] = across((above > 0).astype(float).where(above.notna()))
    z = logs.diff(42) / (sd30 * np.sqrt(7))
    out["dispersion_7d"] = np.sqrt(across(z.sub(across(z), axis=0) ** 2))
    m = across(r)
    with_market = rolled(r.mul(m, axis=0), 30)
    square = rolled(m.to_frame("m") ** 2, 30)["m"]
    correlation = with_market / rolled(r**2, 30).mul(square, axis=0) ** 0.5
    out["market_correlation_30d"] = across(correlation.clip(-1, 1))
    fallen = (logs - high) / (sd30 * np.sqrt(20))
    out["fallen_share_60d"] = across((fallen < -2).astype(float).where(fallen.notna()))
    return pd.DataFrame(out)[NAMES]


@pytest.mark.parametrize("own", ["BTCUSDT", "ETHUSDT", "DOGEUSDT"])
def test_values_are_those_of_plain_pandas(own: str) -> None:
    history = next(one for one in market() if one.symbol == own)
    found, expected = table(history), oracle(own)
    assert np.isfinite(found.iloc[-1]).all()
    np.testing.assert_array_equal(found.isna(), expected.isna())
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    assert (found.nunique() >= (1 if own == "BTCUSDT" else 4)).all()


def test_what_the_universe_does_is_the_same_for_every_symbol() -> None:
    together = [feature_matrix(history, tuple(breadth_features())).view(np.uint32) for history in market()]
    for other in together[1:]:
        np.testing.assert_array_equal(other, together[0])


def test_the_leader_s_state_is_the_same_for_every_symbol_and_its_own_for_itself() -> None:
    features = tuple(leader_features())
    states = [feature_matrix(history, features).view(np.uint32) for history in market()]
    for other in states[1:]:
        np.testing.assert_array_equal(other, states[0])
    own = select(["return_1d", "return_3d", "return_30d", "above_mean_20d", "above_mean_100d"])
    same = feature_matrix(market()[0], own).view(np.uint32)
    np.testing.assert_array_equal(same, states[0][:, [0, 1, 3, 4, 5]])
    beside = table(market()[0], tuple(beside_leader_features())).dropna()
    assert len(beside) > 100
    assert (beside[["relative_return_7d", "relative_return_30d"]] == 0).all(axis=None)
    assert (beside[["leader_beta_30d", "leader_correlation_30d"]] == 1).all(axis=None)


def without(history: History, *names: str) -> History:
    nothing = np.full(len(history), np.nan)
    return replace(history, context={**history.context, **dict.fromkeys(names, nothing)})


def test_the_universe_stands_with_60_percent_of_it() -> None:
    history = market()[1]
    two_gone = table(without(history, "SOLUSDT", "XRPUSDT")).iloc[-1]
    three_gone = table(without(history, "SOLUSDT", "XRPUSDT", "DOGEUSDT")).iloc[-1]
    universe = [feature.name for feature in breadth_features()]
    assert np.isfinite(two_gone).all()
    assert three_gone[universe].isna().all()
    assert np.isfinite(three_gone.drop(universe)).all()


def test_without_the_leader_what_reads_it_is_missing_and_nothing_else() -> None:
    row = table(without(market()[1], "BTCUSDT")).iloc[-1]
    missing = [feature.name for feature in (*leader_features(), *beside_leader_features())]
    assert row[missing].isna().all()
    assert np.isfinite(row.drop(missing)).all()


def test_without_context_all_is_missing_also_where_there_is_no_leader_in_it() -> None:
    history = market()[0]
    assert np.isnan(feature_matrix(replace(history, context={}), CROSS)).all()
    made = [one for one in market() if one.symbol != "BTCUSDT"]
    leaderless = with_context([replace(one, context={}) for one in made])[0]
    row = table(leaderless).iloc[-1]
    assert np.isfinite(row[[feature.name for feature in breadth_features()]]).all()
    assert row[[feature.name for feature in leader_features()]].isna().all()


def test_a_symbol_outside_the_universe_is_no_member_of_it() -> None:
    stranger = replace(History.from_raw(raw_market(170 * 6, "4h", seed=77)), symbol="NEWUSDT")
    closes = {history.symbol: closes_of(history) for history in market()}
    (joined,) = with_context([stranger], UNIVERSE, closes)
    features = tuple(breadth_features())
    np.testing.assert_array_equal(
        feature_matrix(joined, features).view(np.uint32),
        feature_matrix(market()[0], features).view(np.uint32),
    )


@pytest.mark.parametrize("gone", CONTEXT_COLUMNS)
def test_a_dropped_symbol_changes_features_across_markets_alone(gone: str) -> None:
    made = rich_history(140 * 6, "4h", seed=6)
    less = changed(made, slice(0, len(made)), {gone: np.full(len(made), np.nan)})
    before, after = feature_matrix(made), feature_matrix(less)
    same = (before.view(np.uint32) == after.view(np.uint32)).all(axis=0)
    differing = {feature.name for feature, equal in zip(CATALOG, same, strict=True) if not equal}
    assert differing
    assert differing <= set(NAMES)
    assert ("leader_return_1d" in differing) == (gone == "context.BTCUSDT")


def test_symbols_that_do_not_move_give_no_infinity() -> None:
    still: dict[str, FloatArray] = {name: np.full(200, 3.0) for name in CONTEXT_COLUMNS}
    made = rich_history(140 * 6, "4h", seed=6)
    row = table(changed(made, slice(len(made) - 200, len(made)), still)).iloc[-1]
    assert not np.isinf(row).any()
    assert np.isnan(row["leader_beta_30d"])
    assert row["leader_return_3d"] == 0.0
