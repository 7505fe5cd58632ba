"""A board says of each symbol what the symbol alone would be told, whatever is wrong with the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_training import GAP, Trained, small_histories

from features.context import with_context
from features.errors import BundleError, UsageError
from features.history import History
from features.parallel.outcomes import Outcome
from serving.board import board
from serving.board_processes import BoardProcesses
from serving.predictor import Predictor
from serving.schemas import Answer


@pytest.fixture(scope="module")
def histories(predictor: Predictor) -> list[History]:
    """Windows of two markets that end at many hours, some longer than a window."""
    bars = predictor.manifest.window_bars
    made = []
    for number in range(14):
        market = small_histories()[number % 2]
        end = int((market.time < GAP).sum()) - 90 - 240 * number
        made.append(replace(market.window(end, bars + number), symbol=f"SIM{number:03d}"))
    return [*made[:-2], *small_histories()]


@pytest.fixture(scope="module")
def processes(trained: Trained) -> Iterator[BoardProcesses]:
    with BoardProcesses(trained.bundle, workers=2) as made:
        yield made


def broken(history: History) -> list[History]:
    """One symbol of each kind that has no answer."""
    holes = history.frame.copy()
    holes.iloc[-60:-20] = np.nan
    last = history.frame.copy()
    last.iloc[-1] = np.nan
    return [
        replace(history.window(len(history) - 1, 100), symbol="SHORT"),
        replace(history, symbol="HOLES", frame=holes),
        replace(history, symbol="LAST", frame=last),
        replace(history, symbol="DAILY", interval="1d"),
        replace(history, symbol="EMPTY", frame=history.frame.iloc[:0]),
        replace(history, symbol="BROKEN", frame=history.frame.reset_index(drop=True)),
    ]


CODES = {
    "SHORT": "window_too_short",
    "HOLES": "too_many_missing_bars",
    "LAST": "last_bar_missing",
    "DAILY": "wrong_interval",
}


def shown(rows: list[Outcome[Answer]]) -> list[Any]:
    """Everything that a row says, to the last bit."""
    return [
        row.result.model_dump() if row.result is not None else (row.symbol, row.error and row.error.message)
        for row in rows
    ]


def mixed(histories: list[History]) -> list[History]:
    """Symbols without an answer among the others."""
    bad = broken(histories[0])
    return [one for pair in zip(histories, bad, strict=False) for one in pair] + histories[len(bad) :]


def test_each_answer_is_that_of_the_symbol_alone(predictor: Predictor, histories: list[History]) -> None:
    rows = board(predictor, histories)
    assert [row.symbol for row in rows] == [history.symbol for history in histories]
    assert [row.result for row in rows] == [predictor.answer(history) for history in histories]
    assert len({row.result.probabilities.bear for row in rows if row.result}) > 5


def test_the_moment_of_the_question_is_every_symbol_s(predictor: Predictor, histories: list[History]) -> None:
    as_of = pd.Timestamp("2023-06-01", tz="UTC")
    rows = board(predictor, histories[:2], as_of=as_of)
    assert [row.result for row in rows] == [predictor.answer(one, as_of=as_of) for one in histories[:2]]
    assert all("stale_window" in row.result.degraded for row in rows if row.result)


def test_what_is_wrong_with_one_symbol_stops_no_other(predictor: Predictor, histories: list[History]) -> None:
    rows = {row.symbol: row for row in board(predictor, mixed(histories))}
    assert {name: row.error.code for name, row in rows.items() if row.error} == {
        **CODES,
        "EMPTY": rows["EMPTY"].error and rows["EMPTY"].error.code,
        "BROKEN": "internal",
    }
    for history in histories:
        assert rows[history.symbol].result == predictor.answer(history)


def test_a_board_of_no_symbols(predictor: Predictor, processes: BoardProcesses) -> None:
    assert board(predictor, []) == []
    assert processes.board([]) == []


def test_processes_say_the_same(
    predictor: Predictor, processes: BoardProcesses, histories: list[History]
) -> None:
    asked = mixed(histories)
    as_of = pd.Timestamp("2023-06-01", tz="UTC")
    assert shown(processes.board(asked)) == shown(board(predictor, asked))
    assert shown(processes.board(asked[:3], as_of=as_of)) == shown(board(predictor, asked[:3], as_of=as_of))


def test_closes_of_the_universe_arrive(
    predictor: Predictor, processes: BoardProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process gets the one table; that this model does not look at it changes nothing of the way."""
    histories = with_context(small_histories())
    sent: list[Any] = []
    submit = processes._pool.submit

    def told(task: Any, *arguments: Any) -> Any:
        sent.extend(one for one in arguments if hasattr(one, "closes"))
        return submit(task, *arguments)

    monkeypatch.setattr(processes._pool, "submit", told)
    assert shown(processes.board(histories * 8)) == shown(board(predictor, histories * 8))
    assert [len(share.windows) for share in sent] == [2] * 8
    assert {len(share.closes) for share in sent} == {2}  # once, however many windows carry them
    assert all(place == {"SIMBTC", "SIMETH"} for share in sent for place in map(set, share.places))


def test_a_process_that_dies_costs_no_answer(
    predictor: Predictor, trained: Trained, histories: list[History]
) -> None:
    with BoardProcesses(trained.bundle, workers=1) as processes:
        (process,) = processes._pool._processes.values()
        process.kill()
        process.join()
        assert shown(processes.board(histories[:3])) == shown(board(predictor, histories[:3]))
        assert shown(processes.board(histories[:3])) == shown(board(predictor, histories[:3]))
        (again,) = processes._pool._processes.values()
        assert again.pid != process.pid


def test_a_number_of_processes_below_one_and_a_folder_without_a_bundle_are_refused(
    trained: Trained, tmp_path: Any
) -> None:
    with pytest.raises(UsageError, match="workers is 0"):
        BoardProcesses(trained.bundle, workers=0)
    with pytest.raises(BundleError):
        BoardProcesses(tmp_path, workers=1)
