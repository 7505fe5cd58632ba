"""A batch before any predictor: items one by one, failures without their text."""

from __future__ import annotations

import json
import os

import pandas as pd
from service_fixtures import FakePredictor, request_body

from serving.batch_answer import read_batch, results_of

NOW = pd.Timestamp("2024-01-01 03:00", tz="UTC")


def test_each_window_has_its_answer_or_its_error() -> None:
    bodies = [request_body(), request_body("BOOM"), request_body(bars=2), request_body("NANANSWER"), 7]
    body = json.dumps({"windows": bodies}).encode()
    found = results_of(FakePredictor("v9"), read_batch(body, 4_000_000), now=NOW)
    assert (found.answered, found.refused, found.model_version) == (1, 4, "v9")
    codes = [None if one.error is None else one.error.code for one in found.results]
    assert codes == [None, "internal", "bad_window", "internal", "invalid_request"]
    assert "secret" not in found.model_dump_json()
    assert found.results[0].answer is not None
    assert found.results[0].answer.as_of == NOW


def test_a_large_batch_is_taken_apart_quickly() -> None:
    window = json.dumps(request_body(bars=4_000))
    body = ('{"windows": [' + ",".join([window] * 100) + "]}").encode()
    began = os.times().user
    windows = read_batch(body, 4_000_000)
    assert os.times().user - began < 5
    assert len(windows) == 100
