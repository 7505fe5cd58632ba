from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest
from service_fixtures import ANSWER, START, WINDOW, request_body

from features.errors import BearmodeError, BundleError, WindowError
from serving import shadow_comparison
from serving.schemas import Answer, PredictRequest
from serving.shadow_comparison import RecentWindows, compare


class Stub:
    """Answers the probability of a bear that a test names for each symbol."""

    def __init__(self, version: str, bears: dict[str, float], **changes: Any) -> None:
        self.version = version
        self.bears = bears
        self.changes = changes
        self.asked: list[pd.Timestamp] = []

    def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:
        self.asked.append(now)
        if request.symbol not in self.bears:
            raise WindowError("too short for me")
        bear = self.bears[request.symbol]
        answer = json.loads(json.dumps(ANSWER))
        answer |= {"symbol": request.symbol, "regime": "bear" if bear > 0.5 else "bull"}
        answer["probabilities"] = {"bear": bear, "ranging": 0.0, "relief_rally": 0.0, "bull": 1 - bear}
        answer["advice"] |= self.changes
        return Answer.model_validate(answer)


def windows(*symbols: str) -> list[PredictRequest]:
    return [PredictRequest.model_validate(request_body(symbol)) for symbol in symbols]


NAMES = ("AAUSDT", "BBUSDT", "CCUSDT")
OLD = Stub("old", dict(zip(NAMES, (0.9, 0.2, 0.6), strict=True)))


def test_the_figures_say_how_the_answers_differ() -> None:
    new = Stub("new", {"AAUSDT": 0.8, "BBUSDT": 0.7}, leverage=1.5)
    found = compare(OLD, new, windows(*NAMES[:2]), windows("CCUSDT"))
    assert (found.windows, found.recent, found.unanswered, found.agreement) == (2, 2, 1, 0.5)
    assert found.largest_probability_change == pytest.approx(0.5)
    assert found.largest_leverage_change == pytest.approx(1.0)
    assert {now.value // 10**6 for now in new.asked} == {START + (WINDOW - 1) * 3_600_000}


def test_without_windows_there_is_nothing_to_say() -> None:
    found = compare(OLD, Stub("new", {}), [])
    assert (found.windows, found.agreement, found.largest_probability_change) == (0, None, None)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (Stub("new", dict.fromkeys(NAMES, math.nan)), "not finite"),
        (Stub("new", dict.fromkeys(NAMES, 0.5), leverage=math.inf), "not finite"),
        (Stub("new", dict.fromkeys(NAMES, 1.4)), "no probability"),
        (Stub("new", dict.fromkeys(NAMES, 0.6)), "constant"),
    ],
)
def test_nonsense_is_refused(new: Stub, words: str) -> None:
    with pytest.raises(BundleError, match=words) as refused:
        compare(OLD, new, windows(*NAMES))
    assert refused.value.code == "shadow_refused"


def test_alike_answers_to_alike_windows_are_no_nonsense() -> None:
    calm = Stub("calm", dict.fromkeys(NAMES, 0.6))
    assert compare(calm, Stub("new", dict.fromkeys(NAMES, 0.7)), windows(*NAMES)).agreement == 1.0


def test_an_asked_agreement_is_enforced() -> None:
    new = Stub("new", {"AAUSDT": 0.9, "BBUSDT": 0.9, "CCUSDT": 0.1})
    assert compare(OLD, new, windows(*NAMES)).agreement == pytest.approx(1 / 3)
    with pytest.raises(BundleError, match="33% of 3 windows, at least 50%"):
        compare(OLD, new, windows(*NAMES), least_agreement=0.5)


@pytest.mark.parametrize("error", [BearmodeError("broken inside"), KeyError("x")])
def test_a_failure_that_is_the_models_own_is_refused(error: Exception) -> None:
    class Failing(Stub):
        def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:  # noqa: ARG002
            raise error

    with pytest.raises(BundleError, match="fails on a window of AAUSDT"):
        compare(OLD, Failing("new", {}), windows("AAUSDT"))
    assert compare(Failing("old", {}), OLD, windows("AAUSDT")).windows == 0


def test_few_windows_are_kept_each_of_another_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_comparison, "KEEP_EVERY_SECONDS", 0.0)
    recent = RecentWindows()
    account = {"equity": 5.0}
    for symbol in ("AA", "BB", "CC", "AA", "DD", "EE"):
        recent.keep(PredictRequest.model_validate(request_body(symbol, account=account, as_of=START)))
    assert [one.symbol for one in recent.list()] == ["CC", "AA", "DD", "EE"]
    assert {one.account for one in recent.list()} == {None}


def test_keeping_is_rare() -> None:
    recent = RecentWindows()
    for symbol in ("AA", "BB"):
        recent.keep(PredictRequest.model_validate(request_body(symbol)))
    assert [one.symbol for one in recent.list()] == ["AA"]
