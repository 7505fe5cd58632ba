"""What a model says of each bar that closed since the last look, and where its regime changed.

Bars are looked at one after another, also those that closed while nobody was watching: a change is
told late, never left out. A change that a new model brings at an old bar is told as the model's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from features.errors import BearmodeError, WindowError
from features.history import History
from features.raw import interval_delta
from serving.live.event_log import Known, NewEvent
from serving.predictor import AnsweredRow, Predictor
from serving.reload_outcomes import iso
from serving.schemas import Answer

__all__ = ["CATCH_UP_BARS", "Look", "look"]

CATCH_UP_BARS = 500
"""Bars that are looked at in hindsight after a pause; older ones only by where they led."""
_MOMENT = pd.Timedelta(milliseconds=1)


@dataclass(frozen=True)
class Look:
    """What was found for one symbol.

    Attributes
    ----------
    symbol : str
    newest_close : pandas.Timestamp or None
    answer : Answer or None
        For the newest bar, as of its close.
    error : BearmodeError or None
        Why there is none.
    known : Known or None
        What is known from now on; ``None`` where nothing new is.
    events : list of NewEvent
        Changes of regime, oldest first.
    """

    symbol: str
    newest_close: pd.Timestamp | None = None
    answer: Answer | None = None
    error: BearmodeError | None = None
    known: Known | None = None
    events: list[NewEvent] = field(default_factory=list)


def look(predictor: Predictor, history: History, known: Known | None, now: pd.Timestamp) -> Look:
    """Look at the bars since the last look.

    Parameters
    ----------
    predictor : Predictor
    history : History
        Up to the newest bar, with its context.
    known : Known or None
        What was known then; without it the newest bar is where watching begins, and no change.
    now : pandas.Timestamp
        Moment of the look: for the events' stamp alone, no answer depends on it.
    """
    manifest = predictor.manifest
    if history.interval != manifest.interval:
        raise WindowError(
            f"{history.symbol}: the bars are of {history.interval}, this model reads {manifest.interval}",
            code="wrong_interval",
            field="interval",
        )
    newest, step = history.time[-1], interval_delta(manifest.interval)
    since = newest
    if known is not None and known.as_of <= newest:
        same_model = known.version == predictor.version
        since = max(known.as_of + (_MOMENT if same_model else 0 * step), newest - CATCH_UP_BARS * step)
        since = min(since, newest)
    rows = list(predictor.replay(history, since, newest + _MOMENT))
    answer = rows[-1].answer if rows else None
    if answer is None:
        return Look(history.symbol, newest, error=_refusal(predictor, history))
    if known is not None and newest < known.as_of:
        # The store went back in time, or the clock: what was told stays told.
        return Look(history.symbol, newest, answer)
    events, regime = [], None if known is None else known.regime
    for row in rows:
        if row.answer is None:
            continue
        if regime is not None and row.answer.regime != regime:
            by_model = known is not None and row.time <= known.as_of
            events.append(_change(regime, row, row.answer, newest, now, "model" if by_model else "market"))
        regime = row.answer.regime
    return Look(
        history.symbol,
        newest,
        answer,
        known=Known(predictor.version, newest, answer.regime),
        events=events,
    )


def _refusal(predictor: Predictor, history: History) -> BearmodeError:
    """Why the newest bar has no answer, in the words of an answer to it alone."""
    try:
        predictor.answer(history, as_of=history.time[-1])
    except BearmodeError as error:
        return error
    return WindowError(f"{history.symbol}: the newest bar has no answer")


def _change(
    before: str, row: AnsweredRow, answer: Answer, newest: pd.Timestamp, now: pd.Timestamp, cause: str
) -> NewEvent:
    advice = answer.advice
    return NewEvent(
        "regime_change",
        answer.symbol,
        {
            "at": iso(now.to_pydatetime()),
            "as_of": iso(row.time.to_pydatetime()),
            "from": before,
            "to": answer.regime,
            "cause": cause,
            "late": bool(row.time < newest),
            "probabilities": answer.probabilities.model_dump(mode="json"),
            "advice": {
                "side": advice.side,
                "short_share": advice.short_share,
                "size_factor": advice.size_factor,
                "leverage": advice.leverage,
            },
            "degraded": list(answer.degraded),
            "model_version": answer.model.version,
            "disclaimer": answer.disclaimer,
        },
    )
