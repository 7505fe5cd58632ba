"""Data that are wrong stop a retraining before anything is fitted, and the journal says why."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from retrain_places import REQUEST, SYMBOL, Start, lenient, serving_version
from small_training import SYMBOLS, small_histories, small_markets

from features.errors import BundleError, DataError
from features.history import History
from features.store import Store
from serving.predictor import Predictor
from training.dataset import Dataset
from training.making.learned_from import LEARNED_FROM, months_of, read_months, write_months
from training.retraining import challenger as challenger_module
from training.retraining.data_check import DataFinding, Known, examine_data, known_past, refuse_bad_data
from training.retraining.gate_settings import GateSettings
from training.retraining.job import retrain
from training.retraining.journal import Journal

SETTINGS = GateSettings()
FIRST = SYMBOLS[0]


@pytest.fixture(scope="module")
def known(predictor: Predictor) -> Known:
    return Known(predictor, months_of(small_histories()))


def changed(history: History, rows: np.ndarray, factor: float | np.ndarray) -> History:
    """The history with the prices of some bars multiplied."""
    frame = history.frame.copy()
    for name in ("open", "high", "low", "close"):
        frame.loc[rows, name] *= factor
    return replace(history, frame=frame)


def with_history(dataset: Dataset, history: History) -> Dataset:
    """The table with another history in the place of the symbol's; its labels and features as they were."""
    histories = [history if one.symbol == history.symbol else one for one in dataset.histories]
    return replace(dataset, histories=tuple(histories))


def named(findings: list[DataFinding], name: str) -> list[DataFinding]:
    return [one for one in findings if one.name == name]


def test_the_data_that_the_champion_learned_from_are_not_refused(dataset: Dataset, known: Known) -> None:
    found = examine_data(dataset, known, SETTINGS)
    assert not [one for one in found if one.name != "feature_drift"]
    refuse_bad_data(found)
    later = [one.between(pd.Timestamp("2020-02-10", tz="UTC"), None) for one in dataset.histories]
    months = months_of([one.between(None, pd.Timestamp("2022-11-20", tz="UTC")) for one in later])
    assert not named(examine_data(dataset, Known(known.predictor, months), SETTINGS), "changed_past")


def test_a_past_that_is_another_is_refused_by_symbol(dataset: Dataset, known: Known) -> None:
    """Prices of one symbol multiplied: features look the same, and no bar looks odd."""
    history = small_histories()[0]
    other = changed(history, np.ones(len(history), dtype=bool), 3.0)
    found = examine_data(with_history(dataset, other), known, SETTINGS)
    (finding,) = named(found, "changed_past")
    assert (finding.symbol, finding.refused, finding.value) == (FIRST, True, 1.0)
    assert not named(found, "odd_bars")
    with pytest.raises(DataError, match=f"{FIRST}: .* are not what the champion learned from") as caught:
        refuse_bad_data(found)
    assert (caught.value.code, caught.value.exit_code) == ("suspect_data", 1)
    refuse_bad_data(examine_data(with_history(dataset, other), Known(), SETTINGS))
    allowed = SETTINGS.model_copy(update={"changed_months": 1.0})
    refuse_bad_data(examine_data(with_history(dataset, other), known, allowed))


def test_one_revised_month_is_told_and_not_refused(dataset: Dataset, known: Known) -> None:
    history = small_histories()[0]
    month = np.asarray((history.time.year == 2021) & (history.time.month == 6))
    (finding,) = named(
        examine_data(with_history(dataset, changed(history, month, 1.001)), known, SETTINGS), "changed_past"
    )
    assert not finding.refused
    assert "(2021-06 to 2021-06)" in finding.words
    json.dumps(finding.as_dict(), allow_nan=False)


def test_what_was_not_known_then_is_no_change_and_what_is_gone_is_one(dataset: Dataset, known: Known) -> None:
    assert known.months is not None
    unknown = {
        symbol: {name: {**numbers, "funding": None} for name, numbers in months.items()}
        for symbol, months in known.months.items()
    }
    assert not named(examine_data(dataset, Known(known.predictor, unknown), SETTINGS), "changed_past")
    history = small_histories()[0]
    poorer = replace(history, frame=history.frame.assign(funding_rate=np.nan))
    (finding,) = named(examine_data(with_history(dataset, poorer), known, SETTINGS), "changed_past")
    assert finding.refused


def test_a_history_that_lost_its_beginning_is_refused_unless_that_was_asked_for(
    dataset: Dataset, known: Known
) -> None:
    begin = pd.Timestamp("2021-09-01", tz="UTC")
    cut = replace(dataset, histories=tuple(one.between(begin, None) for one in dataset.histories))
    lost = named(examine_data(cut, known, SETTINGS), "changed_past")
    assert [one.symbol for one in lost] == list(SYMBOLS)
    assert all(one.refused for one in lost)
    assert not named(examine_data(cut, known, SETTINGS, since=begin), "changed_past")


def test_data_of_another_source_are_not_compared(dataset: Dataset, known: Known) -> None:
    other = changed(small_histories()[0], np.ones(len(small_histories()[0]), dtype=bool), 3.0)
    mixed = with_history(dataset, replace(other, source="files"))
    mixed = with_history(mixed, replace(small_histories()[1], source="files"))
    assert not named(examine_data(mixed, known, SETTINGS), "changed_past")


def test_prints_that_no_trade_explains_are_refused_without_any_champion(dataset: Dataset) -> None:
    history = small_histories()[0]
    rng = np.random.default_rng(5)
    rows = np.zeros(len(history), dtype=bool)
    rows[rng.choice(np.arange(50, len(history) - 50), 40, replace=False)] = True
    found = examine_data(with_history(dataset, changed(history, rows, 2.0)), Known(), SETTINGS)
    (finding,) = named(found, "odd_bars")
    assert finding.refused
    assert finding.value >= 40
    assert f"{FIRST}: " in finding.words
    few = np.zeros(len(history), dtype=bool)
    few[[400, 900]] = True
    (told,) = named(
        examine_data(with_history(dataset, changed(history, few, 2.0)), Known(), SETTINGS), "odd_bars"
    )
    assert not told.refused


def test_labels_that_no_market_has_are_refused(dataset: Dataset) -> None:
    """Shuffled within one symbol: a score of the pooled model hardly moves."""
    y = dataset.y.copy()
    rows = np.flatnonzero((dataset.symbol == 1) & (y >= 0))
    y[rows] = np.random.default_rng(2).permutation(y[rows])
    (finding,) = named(examine_data(replace(dataset, y=y), Known(), SETTINGS), "label_spells")
    assert (finding.symbol, finding.refused) == (SYMBOLS[1], True)
    assert finding.value > 300


def test_features_that_left_the_training_are_told_and_not_refused(dataset: Dataset, known: Known) -> None:
    X = dataset.X.copy()
    rows = (dataset.symbol == 0) & np.asarray(dataset.time > dataset.time.max() - pd.Timedelta(days=90))
    X[rows] += 50.0
    found = named(examine_data(replace(dataset, X=X), known, SETTINGS), "feature_drift")
    windows = [] if known.predictor is None else known.predictor.manifest.drift.windows
    assert [one.symbol for one in found if one.symbol == FIRST] == [FIRST] * any(w.limits for w in windows)
    assert not any(one.refused for one in found)


def test_the_record_is_written_read_and_refused(tmp_path: Path) -> None:
    write_months(tmp_path, small_histories())
    assert read_months(tmp_path) == months_of(small_histories())
    months = months_of(small_histories())[FIRST]
    history = small_histories()[0]
    march = history.frame[np.asarray((history.time.year == 2021) & (history.time.month == 3))]
    assert months["2021-03"]["bars"] == march["close"].notna().sum() == 31 * 6
    assert months["2021-03"]["close"] == pytest.approx(np.log(march["close"]).mean(), rel=1e-11)
    for content in ("[", "[1]", '{"A": 3}'):
        (tmp_path / LEARNED_FROM).write_text(content)
        with pytest.raises(BundleError, match="cannot be read"):
            read_months(tmp_path)
    assert read_months(tmp_path / "none") is None


def test_a_retraining_on_wrong_data_stops_before_it_fits_and_says_why(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(challenger_module.Challenger, "run", lambda _self: pytest.fail("it went on to fit"))
    shutil.copytree(start.places.store, tmp_path / "wrong")  # the prepared store belongs to all tests
    start = replace(start, places=start.places.model_copy(update={"store": tmp_path / "wrong"}))
    known = known_past(start.places.bundles)
    assert known.months is not None
    assert set(known.months) == {SYMBOL}
    market = next(one for one in small_markets() if one.symbol == SYMBOL)
    bars = market.bars.copy()
    rows = (bars["open_time"] >= pd.Timestamp("2021-03-01", tz="UTC")).to_numpy()
    bars.loc[rows, ["open", "high", "low", "close"]] *= 1.7
    store = Store(start.places.store)
    with store.writing():
        store.write(replace(market, bars=bars))
    heard: list[str] = []
    with pytest.raises(DataError, match="are not what the champion learned from"):
        retrain(REQUEST, start.places, gate_settings=lenient(), say=heard.append)
    assert serving_version(start.places) == start.champion
    entry = Journal(start.places.bundles).entries()[-1]
    assert (entry["action"], entry["step"], entry["error"]) == ("failure", "data", "suspect_data")
    assert entry["champion"] == start.champion
    assert {"changed_past", "odd_bars"} == {one["name"] for one in entry["data"]}
    assert any("odd" in line for line in heard)  # the seam: told, not refused
