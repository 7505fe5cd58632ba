"""A batch of one window a symbol, all for one account, as one portfolio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.errors import BearmodeError
from serving.correlations import correlations_of, daily_closes
from serving.portfolio import Portfolio, portfolio_of
from serving.schemas import Answer, PredictRequest

__all__ = ["batch_portfolio"]


def batch_portfolio(
    requests: Sequence[PredictRequest | BearmodeError], answers: Sequence[Answer | None]
) -> Portfolio | None:
    """Add up the advice of a batch.

    Parameters
    ----------
    requests : sequence of PredictRequest or BearmodeError
    answers : sequence of Answer or None
        In their order.

    Returns
    -------
    Portfolio or None
        With the usual caps. ``None`` unless two or more symbols were answered, each once, every one as of one
        moment and with an account of the same equity, and no window was refused: a portfolio that lacks
        one of its symbols would be sized too large.
    """
    asked = [
        (one, answer)
        for one, answer in zip(requests, answers, strict=True)
        if isinstance(one, PredictRequest) and answer is not None and one.account is not None
    ]
    if len(asked) < 2 or len(asked) != len(requests):
        return None
    symbols = {one.symbol for one, _ in asked}
    equities = {one.account.equity for one, _ in asked if one.account is not None}
    if len(symbols) < len(asked) or len(equities) > 1 or len({answer.as_of for _, answer in asked}) > 1:
        return None
    closes = {
        one.symbol: pd.Series(
            np.asarray(one.close, dtype=np.float64),
            index=pd.DatetimeIndex(pd.to_datetime(np.asarray(one.time, dtype=np.int64), unit="ms", utc=True)),
        )
        for one, _ in asked
    }
    advices = {answer.symbol: answer.advice for _, answer in asked}
    return portfolio_of(advices, equities.pop(), correlations_of(daily_closes(closes)))
