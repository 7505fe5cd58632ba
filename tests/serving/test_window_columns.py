"""A user's own columns stay at home: a request carries the columns of its schema and no other."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History
from serving.schemas import VALUE_COLUMNS, PredictRequest
from serving.window import window_request


def history(n: int = 40) -> History:
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    frame = pd.DataFrame(
        {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 1.0},
        index=pd.date_range("2024-03-01 01:00", periods=n, freq="h", tz="UTC", unit="ms", name="time"),
    )
    for number, name in enumerate((*REQUIRED_COLUMNS[5:], *OPTIONAL_COLUMNS)):
        frame[name] = 0.01 * (number + 1)
    frame["funding_interval_hours"] = 8.0
    frame["active_addresses"] = 5.0
    return History("BTCUSDT", "1h", frame)


def test_the_schema_has_every_named_column_and_the_window_sends_them() -> None:
    assert (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) == VALUE_COLUMNS
    body = window_request(history())
    assert {*VALUE_COLUMNS} <= {*body} <= {*PredictRequest.model_fields}
    assert "active_addresses" not in body
    request = PredictRequest.model_validate_json(json.dumps(body))
    for name in VALUE_COLUMNS:
        assert getattr(request, name) == history().column(name).tolist()


@pytest.mark.parametrize("last", [None, 7])
def test_a_request_gives_the_history_back_without_the_users_own_columns(last: int | None) -> None:
    made = history()
    request = PredictRequest.model_validate_json(json.dumps(window_request(made)))
    columns = {name: np.asarray(getattr(request, name), np.float64) for name in VALUE_COLUMNS}
    time = pd.DatetimeIndex(pd.to_datetime(request.time, unit="ms", utc=True))
    again = History.from_columns("BTCUSDT", "1h", time, columns, last=last)
    expected = made.frame.drop(columns="active_addresses").tail(last or len(made))
    pd.testing.assert_frame_equal(again.frame, expected, check_exact=True, check_freq=False)


def test_an_empty_column_is_left_out() -> None:
    made = history()
    made.frame["put_call"] = np.nan
    made.frame.loc[made.frame.index[:3], "taker_ratio"] = np.nan
    body = window_request(made)
    assert "put_call" not in body
    assert body["taker_ratio"][:4] == [None, None, None, pytest.approx(made.column("taker_ratio")[3])]
