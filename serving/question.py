"""What a request asks: its window as a history, the moment, the account."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import WindowError
from features.history import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, History
from serving.bundle import Manifest
from serving.position import check_account
from serving.request_context import join_context
from serving.schemas import Account, PredictRequest

__all__ = ["Question", "question_of"]


@dataclass(frozen=True)
class Question:
    """A window that is ready to be answered.

    Attributes
    ----------
    history : History
        At most a window long, with the context that the model reads.
    as_of : pandas.Timestamp
    account : Account or None
    degraded : list of str
        What the answer is to name: context that was sent and is not read.
    """

    history: History
    as_of: pd.Timestamp
    account: Account | None
    degraded: list[str]


def question_of(request: PredictRequest, manifest: Manifest, *, now: pd.Timestamp) -> Question:
    """The question that a request asks of a model.

    Parameters
    ----------
    request : PredictRequest
    manifest : Manifest
        Of the model.
    now : pandas.Timestamp
        Stands in for ``as_of`` where the request names none.

    Raises
    ------
    HistoryError, WindowError
        If the window breaks a rule.
    DataError
        If the account asks for what the exchange does not allow.
    """
    if request.account is not None:
        check_account(request.symbol, request.account)
    as_of = now if request.as_of is None else pd.Timestamp(request.as_of, unit="ms", tz="UTC")
    if request.interval != manifest.interval:
        raise WindowError(
            f"interval is {request.interval}, this model reads {manifest.interval}",
            code="wrong_interval",
            field="interval",
        )
    columns = {}
    for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
        values = getattr(request, name)
        if values is not None:
            columns[name] = np.asarray(values, dtype=np.float64)
    stamps = np.asarray(request.time, dtype=np.int64)
    time = pd.DatetimeIndex(stamps.view("M8[ms]"), tz="UTC")
    if time[-1] > as_of:
        raise WindowError(
            f"time[{len(time) - 1}] is {time[-1]}, later than as_of {as_of}",
            code="future_time",
            field=f"time[{len(time) - 1}]",
            hint="time is each bar's CLOSE; leave the forming bar out",
        )
    history = History.from_columns(request.symbol, request.interval, time, columns, last=manifest.window_bars)
    history, unused = join_context(history, request.context, manifest.context_symbols)
    return Question(history, as_of, request.account, unused)
