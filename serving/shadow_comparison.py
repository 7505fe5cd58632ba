"""A new bundle beside the one that serves, on the same windows, before it takes over.

The proof of a bundle says that it answers as it did when it was made. This says how its answers
differ from those that clients get now, and refuses what cannot be meant: no numbers, or the same
answer to everything.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from features.errors import BearmodeError, BundleError
from serving.schemas import Answer, PredictRequest

__all__ = ["Answering", "RecentWindows", "ShadowComparison", "compare"]

KEPT_WINDOWS = 4
"""Windows that a worker keeps, of different symbols: at most some 20 MB."""
KEEP_EVERY_SECONDS = 1.0
FEWEST_FOR_CONSTANT = 3
"""Below so many windows an answer that stays the same proves nothing."""
CONSTANT = 1e-6
"""Probabilities that move less than this over all windows are constant."""
MOVES = 1e-3
"""The bundle that serves must move by more than this, or the windows are all alike."""
UNIT_TOLERANCE = 1e-3


class Answering(Protocol):
    """Whatever answers windows and has a version."""

    @property
    def version(self) -> str:
        """Name of the model."""

    def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:
        """Answer one window."""


@dataclass(frozen=True)
class ShadowComparison:
    """How two bundles' answers to the same windows differ.

    Attributes
    ----------
    windows : int
        Windows that both answered.
    recent : int
        How many of them clients had sent; the others are the new bundle's golden windows.
    unanswered : int
        Windows that the bundle in service answers and the new one refuses: too short for it, or of
        another interval.
    agreement : float or None
        Share of the windows with the same regime; ``None`` without windows.
    largest_probability_change : float or None
        Over all regimes and windows.
    largest_leverage_change : float or None
        Of the recommended leverage.
    """

    windows: int
    recent: int
    unanswered: int
    agreement: float | None
    largest_probability_change: float | None
    largest_leverage_change: float | None


class RecentWindows:
    """The newest window of each of the last few symbols that were asked about, without accounts."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, PredictRequest] = OrderedDict()
        self._lock = threading.Lock()
        self._next = 0.0

    def keep(self, request: PredictRequest) -> None:
        """Keep a request that was answered, at most one a second: it costs the request nothing."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + KEEP_EVERY_SECONDS
        window = request.model_copy(update={"account": None, "as_of": None})
        with self._lock:
            self._kept.pop(request.symbol, None)
            self._kept[request.symbol] = window
            while len(self._kept) > KEPT_WINDOWS:
                self._kept.popitem(last=False)

    def list(self) -> Sequence[PredictRequest]:
        """The windows, oldest first."""
        with self._lock:
            return tuple(self._kept.values())


def compare(
    serving: Answering,
    new: Answering,
    recent: Sequence[PredictRequest],
    golden: Sequence[PredictRequest] = (),
    *,
    least_agreement: float = 0.0,
) -> ShadowComparison:
    """Answer each window with both, as of its last close.

    Parameters
    ----------
    serving, new : Answering
    recent, golden : sequence of PredictRequest
        Windows that clients sent, and the new bundle's own.
    least_agreement : float
        Share of the windows on which both must name the same regime; 0 asks for nothing.

    Raises
    ------
    BundleError
        ``shadow_refused``: the new one fails on a window, answers with what is no probability,
        answers all windows alike where the other one does not, or agrees on too few.
    """
    pairs: list[tuple[Answer, Answer]] = []
    unanswered = of_clients = 0
    for number, request in enumerate((*recent, *golden)):
        before = _answer(serving, request, must=False)
        after = _answer(new, request, must=True)
        if after is None:
            unanswered += before is not None
        elif before is not None:
            pairs.append((before, after))
            of_clients += number < len(recent)
    if len(pairs) >= FEWEST_FOR_CONSTANT and _spread(b for b, _ in pairs) > MOVES:
        moved = _spread(after for _, after in pairs)
        if moved < CONSTANT:
            raise _refused(
                new,
                f"its probabilities on {len(pairs)} windows differ by {moved:.0e} at most: it is constant",
            )
    found = ShadowComparison(
        windows=len(pairs),
        recent=of_clients,
        unanswered=unanswered,
        agreement=_mean([before.regime == after.regime for before, after in pairs]),
        largest_probability_change=_largest(
            abs(x - y)
            for before, after in pairs
            for x, y in zip(_probabilities(before), _probabilities(after), strict=True)
        ),
        largest_leverage_change=_largest(
            abs(before.advice.leverage - after.advice.leverage) for before, after in pairs
        ),
    )
    if found.agreement is not None and found.agreement < least_agreement:
        raise _refused(
            new,
            f"it names the same regime as {serving.version} on {found.agreement:.0%} of "
            f"{found.windows} windows, at least {least_agreement:.0%} are asked for",
        )
    return found


def _answer(model: Answering, request: PredictRequest, *, must: bool) -> Answer | None:
    """Answer of a window; ``None`` where the window is not for this model.

    With ``must`` a failure that is the model's, not the window's, refuses the bundle.
    """
    try:
        answer = model.predict(request, now=pd.Timestamp(request.time[-1], unit="ms", tz="UTC"))
    except BearmodeError as error:
        if must and error.status >= 500:
            raise _refused(model, f"it fails on a window of {request.symbol}: {error.message}") from error
        return None
    except Exception as error:
        if must:
            kind = type(error).__name__
            raise _refused(model, f"it fails on a window of {request.symbol} ({kind})") from error
        return None
    numbers = [*_probabilities(answer), answer.advice.leverage, answer.advice.short_share]
    if must and not all(map(math.isfinite, numbers)):
        raise _refused(model, f"its answer to a window of {request.symbol} is not finite")
    p = _probabilities(answer)
    if must and (min(p) < -UNIT_TOLERANCE or abs(sum(p) - 1) > UNIT_TOLERANCE):
        raise _refused(model, f"its answer to a window of {request.symbol} is no probability: {p}")
    return answer


def _refused(model: Answering, why: str) -> BundleError:
    return BundleError(
        f"bundle {model.version} is refused beside the one that serves: {why}",
        code="shadow_refused",
        hint="look at its training run; 'bearmode rollback' puts the one before back",
    )


def _probabilities(answer: Answer) -> list[float]:
    found: list[float] = list(answer.probabilities.model_dump().values())
    return found


def _spread(answers: Iterable[Answer]) -> float:
    """Largest distance between two answers' probabilities of one regime."""
    columns = list(zip(*map(_probabilities, answers), strict=True))
    return max((max(column) - min(column) for column in columns), default=0.0)


def _mean(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _largest(values: Iterable[float]) -> float | None:
    return max(values, default=None)
