"""The closes of other symbols beside a history: which, where, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from histories import raw_market, utc

from features.catalog import CATALOG, select
from features.context import (
    MAX_SYMBOLS,
    Closes,
    check_closes,
    choose_universe,
    closes_of,
    in_universe,
    leader_of,
    needs_context,
    with_context,
)
from features.errors import UsageError, WindowError
from features.history import History
from features.sources.context_closes import closes_once, first_bars, load_closes
from features.store import Store

HOUR = 3_600_000


def market(symbol: str, n: int = 100, *, start: str = "2022-01-03", seed: int = 1) -> History:
    return replace(History.from_raw(raw_market(n, start=start, seed=seed)), symbol=symbol)


def trio() -> list[History]:
    """Three symbols that begin and end at different times, one with a hole."""
    first, second = market("BTCUSDT", 100), market("ETHUSDT", 60, start="2022-01-04", seed=2)
    raw = raw_market(90, seed=3, start="2022-01-03 05:00")
    third = History.from_raw(replace(raw, bars=raw.bars.drop(index=[10, 11]).reset_index(drop=True)))
    return [first, second, replace(third, symbol="SOLUSDT")]


def test_each_carries_all_closes_of_its_own_moments_and_no_other() -> None:
    made = trio()
    joined = with_context(made)
    for history, before in zip(joined, made, strict=True):
        assert list(history.context) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        pd.testing.assert_frame_equal(history.frame, before.frame)
        for other in made:
            expected = other.frame["close"].reindex(history.time).to_numpy()
            np.testing.assert_array_equal(history.context[other.symbol], expected)
    assert np.isnan(joined[0].context["ETHUSDT"][:24]).all()
    assert np.isnan(joined[0].context["SOLUSDT"][[15, 16]]).all()


def test_all_contexts_are_views_of_one_table_that_nobody_can_change() -> None:
    first, second, _ = with_context(trio())
    assert np.shares_memory(first.context["SOLUSDT"], second.context["SOLUSDT"])
    with pytest.raises(ValueError, match="read-only"):
        first.context["SOLUSDT"][0] = 1.0


def test_a_part_of_a_history_has_that_part_of_its_context() -> None:
    made = with_context(trio())[0]
    since, until = utc("2022-01-04"), utc("2022-01-05 12:00")
    for part in (made.window(60, 20), made.between(since, until), made.part(5, 50)):
        assert len(part) in {20, 36, 45}
        for name, closes in part.context.items():
            expected = pd.Series(made.context[name], made.time).reindex(part.time).to_numpy()
            np.testing.assert_array_equal(closes, expected)
    assert made.window(0, 20).context["BTCUSDT"].shape == (1,)


def test_a_named_universe_may_lack_symbols_and_take_closes_from_elsewhere() -> None:
    made, other = market("ETHUSDT"), market("BTCUSDT", 400, start="2021-12-27")
    (joined,) = with_context(
        [made], ["SOLUSDT", "BTCUSDT"], {"BTCUSDT": closes_of(other), "XRPUSDT": closes_of(made)}
    )
    assert list(joined.context) == ["BTCUSDT", "SOLUSDT"]
    np.testing.assert_array_equal(joined.context["BTCUSDT"], other.frame["close"].reindex(made.time))
    assert np.isnan(joined.context["SOLUSDT"]).all()


def test_one_symbol_alone_has_no_context() -> None:
    made = market("BTCUSDT")
    assert with_context([made])[0].context == {}
    assert with_context([made], ["BTCUSDT"])[0].context == {}
    assert with_context([], ["BTCUSDT", "ETHUSDT"]) == []


def test_intervals_do_not_mix() -> None:
    daily = replace(History.from_raw(raw_market(30, "1d")), symbol="ETHUSDT")
    with pytest.raises(UsageError, match="different intervals"):
        with_context([market("BTCUSDT"), daily])


def test_the_universe_is_the_leader_and_the_oldest() -> None:
    begin = pd.Timestamp("2020-01-01", tz="UTC")
    many = {f"C{k:02}USDT": begin + pd.Timedelta(days=k) for k in range(40)}
    late = {**many, "BTCUSDT": begin + pd.Timedelta(days=900)}
    chosen = choose_universe(late)
    assert len(chosen) == MAX_SYMBOLS
    assert chosen == tuple(sorted(["BTCUSDT", *sorted(many)[: MAX_SYMBOLS - 1]]))
    assert choose_universe(dict(reversed(late.items()))) == chosen
    assert choose_universe({"BTCUSDT": begin}) == ()
    assert (leader_of(chosen), leader_of(many)) == ("BTCUSDT", None)
    assert leader_of(["SIMBTC", "SIMETH"]) == "SIMBTC"


def test_a_universe_is_filled_up_and_cut_down_by_name() -> None:
    made = with_context(trio())[0]
    same = in_universe(made, ["SOLUSDT", "ETHUSDT", "BTCUSDT"])
    assert same is made
    other = in_universe(made, ["ADAUSDT", "ETHUSDT"])
    assert list(other.context) == ["ADAUSDT", "ETHUSDT"]
    assert np.isnan(other.context["ADAUSDT"]).all()
    assert in_universe(made, []).context == {}


def test_what_needs_context_says_so() -> None:
    assert needs_context(CATALOG)
    assert needs_context(select(["return_1d", "leader_return_1d"]))
    assert not needs_context(feature for feature in CATALOG if feature.group != "cross_market")


def closes(**changes: float) -> Closes:
    time = np.arange(1, 30, dtype=np.int64) * HOUR
    close = np.full(29, 5.0)
    for name, value in changes.items():
        place = int(name[1:])
        if name[0] == "t":
            time[place] = value
        else:
            close[place] = value
    return Closes(time, close)


UNTIL = pd.Timestamp(29 * HOUR, unit="ms", tz="UTC")


def test_closes_with_holes_and_missing_values_pass() -> None:
    check_closes(closes(), "1h", UNTIL, "context.A")
    check_closes(closes(c3=np.nan), "1h", UNTIL, "context.A")
    holes = Closes(np.array([3, 9, 29], np.int64) * HOUR, np.ones(3))
    check_closes(holes, "1h", UNTIL, "context.A")
    check_closes(Closes(np.array([], np.int64), np.array([])), "1h", UNTIL, "context.A")


@pytest.mark.parametrize(
    ("made", "code", "field"),
    [
        (closes(t28=30 * HOUR), "future_time", "time[28]"),
        (closes(t5=5 * HOUR), "double_time", "time[5]"),
        (closes(t5=2 * HOUR), "unsorted_time", "time[5]"),
        (closes(t5=6 * HOUR + 60_000), "wrong_interval", "time[5]"),
        (closes(c7=-1.0), "bad_price", "close[7]"),
        (closes(c7=0.0), "bad_price", "close[7]"),
        (closes(c0=np.inf), "bad_price", "close[0]"),
    ],
)
def test_closes_that_break_a_rule_are_refused(made: Closes, code: str, field: str) -> None:
    with pytest.raises(WindowError) as refused:
        check_closes(made, "1h", UNTIL, "context.BTCUSDT")
    assert refused.value.code == code
    assert refused.value.field == f"context.BTCUSDT.{field}"
    assert refused.value.message
    assert refused.value.hint


def test_closes_come_from_a_store_and_what_it_lacks_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    raw = raw_market(50)
    with store.writing():
        store.write(raw)
        store.write(replace(raw_market(30, "4h"), symbol="DAILYUSDT"))
    names = ("TESTUSDT", "DAILYUSDT", "GONEUSDT")
    found = load_closes(None, names, store=tmp_path)
    assert list(found) == ["TESTUSDT"]
    own = closes_of(History.from_raw(raw))
    np.testing.assert_array_equal(found["TESTUSDT"].time, own.time)
    np.testing.assert_array_equal(found["TESTUSDT"].close, own.close)
    assert first_bars(None, names, store=tmp_path) == {"TESTUSDT": raw.bars["open_time"].iloc[0]}
    assert closes_once(None, names, None, tmp_path, "1h", "a").keys() == {"TESTUSDT"}


def test_closes_come_from_a_folder_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "BTCUSDT"
    folder.mkdir()
    raw_market(50).bars.to_parquet(folder / "bars_1h.parquet", index=False)
    found = load_closes("files", ["BTCUSDT", "GONEUSDT"], path=folder.parent)
    assert list(found) == ["BTCUSDT"]
    assert list(first_bars("files", ["BTCUSDT", "GONEUSDT"], path=folder.parent)) == ["BTCUSDT"]
