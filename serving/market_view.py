"""What a model says of the markets in a store: newest answers, board, charts, maps. No web types, no clock.

Every result is a pure function of bundle and store: ``as_of`` is the newest bar's close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import BearmodeError, UsageError
from features.families.liquidation_map import liquidation_heatmap, liquidation_map
from features.families.liquidation_model import DEFAULT_MODEL
from features.history import History
from features.parallel.outcomes import Outcome
from features.raw import interval_delta
from features.regimes import REGIMES
from features.store import Store
from serving.board import board
from serving.chart_steps import chart_rows, step_for
from serving.error_schemas import error_detail
from serving.market_schemas import (
    Board,
    BoardModel,
    BoardRow,
    Chart,
    LiquidationCell,
    LiquidationMap,
    SignalsNow,
)
from serving.predictor import Predictor
from serving.replayed_bars import ReplayedChunks, chunk_start
from serving.schemas import Answer
from serving.store_refusals import no_data, store_refusal
from serving.store_windows import StoreWindows

__all__ = ["MAX_MAP_DAYS", "MarketView", "Newest"]

MAX_MAP_DAYS = 365
_TOGETHER = 16
"""So many windows are held at once while a board is computed."""
_CHART_DAYS = 90
_RUNGS = 120


@dataclass(frozen=True)
class Newest:
    """The newest answer of a symbol and the bar that it is about.

    Attributes
    ----------
    answer : Answer
    close : float
        Quote currency.
    change_24h : float or None
        Of the close, fraction.
    """

    answer: Answer
    close: float
    change_24h: float | None

    @property
    def signals(self) -> SignalsNow:
        """The answer's signals alone."""
        answer = self.answer
        names = set(SignalsNow.model_fields)
        return SignalsNow(**{name: value for name, value in answer if name in names})

    @property
    def row(self) -> BoardRow:
        """The answer as a row of a board."""
        answer, advice = self.answer, self.answer.advice
        return BoardRow(
            symbol=answer.symbol,
            as_of=answer.as_of,
            valid_until=answer.valid_until,
            close=self.close,
            change_24h=self.change_24h,
            regime=answer.regime,
            since=answer.since,
            since_at_least=answer.since_at_least,
            confidence=getattr(answer.probabilities, answer.regime),
            probabilities=answer.probabilities,
            prediction_set=answer.prediction_set,
            side=advice.side,
            short_share=advice.short_share,
            size_factor=advice.size_factor,
            leverage=advice.leverage,
            leverage_short=advice.leverage_short,
            leverage_long=advice.leverage_long,
            agreeing=answer.agreeing,
            available=answer.available,
            degraded=answer.degraded,
        )


class MarketView:
    """A model's view of a store.

    Methods may be called from several threads.

    Parameters
    ----------
    predictor : Predictor
    store : Store
        Need not be there yet.
    """

    def __init__(self, predictor: Predictor, store: Store) -> None:
        manifest = predictor.manifest
        self.predictor = predictor
        self.interval = manifest.interval
        self.windows = StoreWindows(store, manifest.interval, manifest.context_symbols)
        self._chunks = ReplayedChunks(predictor)

    def symbols(self) -> list[str]:
        """Symbols that the store holds at the model's interval, sorted.

        Raises
        ------
        StoreRefusedError
            If there are none, or the store cannot be read.
        """
        try:
            found = self.windows.symbols()
        except BearmodeError as error:
            raise store_refusal("the market", error, []) from error
        if not found:
            raise no_data(self.interval)
        return found

    def newest(self, symbols: Sequence[str]) -> list[Outcome[Newest]]:
        """Newest answer of each symbol, or a :class:`StoreRefusedError` that says why there is none."""
        known = self.symbols()
        found = []
        for begin in range(0, len(symbols), _TOGETHER):
            some = symbols[begin : begin + _TOGETHER]
            windows = self.windows.last(some, self.predictor.manifest.window_bars)
            answered = board(self.predictor, [one.result for one in windows if one.result is not None])
            answers = {one.symbol: one for one in answered}
            for window in windows:
                error = window.error
                if window.result is not None:
                    answer = answers[window.symbol]
                    error = answer.error
                    if answer.result is not None:
                        found.append(Outcome(window.symbol, _newest(answer.result, window.result)))
                        continue
                refusal = store_refusal(window.symbol, error or BearmodeError("no answer"), known)
                found.append(Outcome[Newest](window.symbol, error=refusal))
        return found

    def answer(self, symbol: str) -> Answer:
        """Newest answer of a symbol: what the endpoint says of its last window.

        Raises
        ------
        StoreRefusedError
        """
        (one,) = self.newest([symbol])
        if one.result is None:
            raise one.error or no_data(self.interval)
        return one.result.answer

    def board(self, symbols: Sequence[str] | None = None) -> Board:
        """Newest answers of some symbols, all of the store by default; one without an answer says why.

        Raises
        ------
        StoreRefusedError
            If the store holds nothing, or cannot be read.
        """
        return self.board_of([board_row(one) for one in self.newest(symbols or self.symbols())])

    def board_of(self, rows: list[BoardRow]) -> Board:
        """A board of these rows."""
        manifest = self.predictor.manifest
        model = BoardModel(
            version=self.predictor.version,
            trained_until=manifest.training.trained_until,
            data_source=manifest.data_source,
        )
        return Board(interval=self.interval, model=model, rows=rows)

    def chart(
        self,
        symbol: str,
        since: pd.Timestamp | None = None,
        until: pd.Timestamp | None = None,
        step: str | None = None,
    ) -> Chart:
        """Prices and what would have been answered at each close.

        Parameters
        ----------
        symbol : str
        since, until : pandas.Timestamp, optional
            Bar closes, ``since`` included, ``until`` excluded; the last 90 days by default.
        step : str, optional
            Of the rows; the finest that gives a chart's worth of rows by default.

        Raises
        ------
        UsageError
            For a span without bars, or a step that does not fit.
        StoreRefusedError
        """
        delta = interval_delta(self.interval)
        try:
            first, last = self.windows.span(symbol)
            end = last if until is None else min(last, until - pd.Timedelta(milliseconds=1))
            begin = end - pd.Timedelta(days=_CHART_DAYS) + delta if since is None else since
            begin = max(begin, first)
            if begin > end:
                raise UsageError(
                    f"no bar of {symbol} closes in the span; the bars close from "
                    f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}",
                    code="empty_span",
                    field="until" if since is None else "since",
                )
            step = step_for(end - begin + delta, self.interval, step)
            window = self.predictor.manifest.window_bars
            read_from = chunk_start(begin, self.interval) - (window - 1) * delta
            history = self.windows.since(symbol, max(read_from, first)).between(None, end + delta)
            return self._chart(history, begin, step, (first, last))
        except UsageError:
            raise
        except BearmodeError as error:
            raise store_refusal(symbol, error, self.symbols()) from error

    def _chart(
        self, history: History, begin: pd.Timestamp, step: str, span: tuple[pd.Timestamp, pd.Timestamp]
    ) -> Chart:
        bars = self._chunks.bars(history, begin)
        shown = history.part(len(history) - len(bars.regime), len(history))
        rows = chart_rows(shown, step)
        time = shown.time[rows.last]
        trained = self.predictor.manifest.training.trained_until
        probabilities = bars.probabilities[rows.last].round(6)
        return Chart(
            symbol=history.symbol,
            interval=self.interval,
            step=step,
            time=time.to_pydatetime().tolist(),
            open=_nulls(rows.open),
            high=_nulls(rows.high),
            low=_nulls(rows.low),
            close=_nulls(rows.close),
            regime=[None if code < 0 else REGIMES[code] for code in bars.regime[rows.last].tolist()],
            **{name: _nulls(probabilities[:, column]) for column, name in enumerate(REGIMES)},
            in_sample=np.asarray(time <= pd.Timestamp(trained)).tolist(),
            trained_until=trained,
            model_version=self.predictor.version,
            first=span[0].to_pydatetime(),
            last=span[1].to_pydatetime(),
        )

    def liquidation_map(self, symbol: str, days: int = _CHART_DAYS) -> LiquidationMap:
        """The estimated liquidation map at each of the last days' ends, and now.

        Parameters
        ----------
        symbol : str
        days : int
            1 to :data:`MAX_MAP_DAYS`.

        Raises
        ------
        StoreRefusedError
        """
        try:
            first, last = self.windows.span(symbol)
            # The first day shown remembers as long as the model does.
            reach = pd.Timedelta(days=days + DEFAULT_MODEL.memory_days + 2)
            history = self.windows.since(symbol, max(first, last - reach))
        except BearmodeError as error:
            raise store_refusal(symbol, error, self.symbols()) from error
        shown_from = last - pd.Timedelta(days=days)
        heat = liquidation_heatmap(history, rungs=_RUNGS)
        heat = heat.loc[heat.index > shown_from]
        now = liquidation_map(history)
        share = np.nan_to_num(heat.to_numpy(np.float64), nan=0.0)
        held = np.flatnonzero(share.any(axis=0))
        shown = slice(held[0], held[-1] + 1) if len(held) else slice(0, 0)
        return LiquidationMap(
            symbol=symbol,
            as_of=last.to_pydatetime(),
            time=pd.DatetimeIndex(heat.index).to_pydatetime().tolist(),
            price=[_short(value) for value in heat.columns.to_numpy(np.float64)[shown].tolist()],
            share=[[_short(value, 4) for value in row] for row in share[:, shown].tolist()],
            now=[
                LiquidationCell(price=_short(price), side=side, weight=_short(weight, 4))
                for price, side, weight in zip(now["price"], now["side"], now["weight"], strict=True)
            ],
            close=float(history.column("close")[-1]),
            assumptions={
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(DEFAULT_MODEL).items()
            },
            reason=None if len(now) or share.any() else "open_interest_missing",
        )


def board_row(outcome: Outcome[Newest]) -> BoardRow:
    """A row of a board: the answer, or why there is none."""
    if outcome.result is not None:
        return outcome.result.row
    error = outcome.error or BearmodeError("there is no answer")
    return BoardRow(symbol=outcome.symbol, error=error_detail(error))


def _newest(answer: Answer, window: History) -> Newest:
    close = window.column("close")
    day = window.per_day
    before = float(close[-1 - day]) if len(close) > day else float("nan")
    change = float(close[-1]) / before - 1
    return Newest(answer, float(close[-1]), change if np.isfinite(change) else None)


def _nulls(values: FloatArray) -> list[float | None]:
    """JSON has no NaN."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124


def _short(value: float, digits: int = 6) -> float:
    """Rounded to so many significant digits: a picture needs no more."""
    return float(f"{value:.{digits}g}")
