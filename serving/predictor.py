"""History to answer. No web types, no clock, no store: an answer is a function of its inputs.

The same rows serve one request and a replay over years: everything is computed per bar from bars
no older than the window, so the last row of a window and that row of a replay are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.catalog import select
from features.context import in_universe
from features.errors import BearmodeError, BundleError
from features.history import History
from features.raw import bars_per_day, interval_delta
from features.regimes import REGIMES, Regime
from features.signals import (
    SIGNALS,
    Reading,
    SignalColumns,
    SignalState,
    agreeing,
    available,
    confirmed_bear,
    longest_signal_lookback,
    readings,
    signal_rows,
)
from serving.advice import MarketState, advise, assumptions, reasons
from serving.bundle import Bundle, Manifest, RunInfo
from serving.decided_rows import DecidedRows, decided_rows
from serving.decision import Decision
from serving.flips import flips
from serving.market import market_states
from serving.novelty import NoveltyScorer
from serving.question import Question, question_of
from serving.refusals import refusal, refused
from serving.schemas import Account, Answer, ModelInfo, Novelty, PredictRequest, Probabilities, SignalReading
from serving.squeeze import squeeze_inputs, squeeze_of
from serving.tiers import has_tiers

__all__ = ["AnsweredRow", "Predictor"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AnsweredRow:
    """One bar of a replay: its answer, or why there is none."""

    time: pd.Timestamp
    answer: Answer | None
    reason: str | None


_ALWAYS = frozenset(signal.name for signal in SIGNALS if not signal.extra)
"""Signals that an answer lists also where they are missing; extras only where they say something."""


@dataclass(frozen=True)
class _Rows:
    """What answers are made of, for the last ``n`` bars of a history; arrays of shape (n,)."""

    time: pd.DatetimeIndex
    probabilities: FloatArray
    decision: Decision
    sets: BoolArray
    markets: Mapping[str, FloatArray]
    squeeze: FloatArray
    """Scales of the adverse excursion, shape (n, 2, 3, 5); NaN where an input is missing."""
    signals: Mapping[str, SignalColumns]
    confirmed: BoolArray
    agreeing: npt.NDArray[np.int64]
    available: npt.NDArray[np.int64]
    effective: FloatArray
    missing_bars: FloatArray
    distance: FloatArray
    novelty: FloatArray
    degraded: list[tuple[str, BoolArray]]


class Predictor:
    """A verified bundle and what it says of a window.

    Parameters
    ----------
    bundle : Bundle

    Raises
    ------
    BundleError
        If its window is too short for the signals: a request would miss what a replay has.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        window = bundle.manifest.window_bars
        needed = longest_signal_lookback(bars_per_day(bundle.manifest.interval))
        if window < needed:
            raise BundleError(
                f"the bundle's window has {window} bars, the signals look back over {needed}",
                hint="retrain with this version of bearmode",
            )
        self._features = select([feature.name for feature in bundle.manifest.features])
        self._squeeze_features = select([feature.name for feature in bundle.manifest.squeeze.features])
        self._scorer = NoveltyScorer(bundle.manifest.drift.novelty)
        self._trained_until = pd.Timestamp(bundle.manifest.training.trained_until)

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Load a bundle and replay its golden rows and windows.

        Raises
        ------
        BundleError
            If anything differs from what was proven when it was made.
        """
        from serving.golden import replay_golden  # noqa: PLC0415  (golden needs a predictor)

        predictor = cls(Bundle(folder))
        replay_golden(predictor)
        return predictor

    @property
    def version(self) -> str:
        """Head of the manifest's SHA-256."""
        return self.bundle.version

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def run(self) -> RunInfo:
        """Run id and times."""
        return self.bundle.run

    @cached_property
    def groups(self) -> dict[str, npt.NDArray[np.intp]]:
        """Columns of each feature group."""
        names = np.array([feature.group for feature in self._features])
        return {str(group): np.flatnonzero(names == group) for group in dict.fromkeys(names.tolist())}

    def probabilities(self, features: npt.NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities of feature rows.

        Parameters
        ----------
        features : ndarray of float32, shape (n_rows, n_features)

        Returns
        -------
        ndarray of float64, shape (n_rows, 4)
        """
        (output,) = self.bundle.session.run(["probabilities"], {"features": features})
        return np.asarray(output, dtype=np.float64)

    def squeeze_scales(self, inputs: npt.NDArray[np.float32]) -> FloatArray:
        """Scales of the adverse excursion: see :mod:`serving.squeeze`.

        Parameters
        ----------
        inputs : ndarray of float32, shape (n_rows, n_inputs)

        Returns
        -------
        ndarray of float64, shape (n_rows, 2, 3, 5)
        """
        (output,) = self.bundle.squeeze_session.run(["scales"], {"features": inputs})
        return np.asarray(output, dtype=np.float64)

    def predict(self, request: PredictRequest, *, now: pd.Timestamp) -> Answer:
        """Answer one request.

        Parameters
        ----------
        request : PredictRequest
        now : pandas.Timestamp
            Stands in for ``as_of`` where the request names none.

        Raises
        ------
        HistoryError, WindowError
            If the window breaks a rule or is too short.
        DataError
            If the account asks for what the exchange does not allow.
        """
        asked = question_of(request, self.manifest, now=now)
        return self.answer(asked.history, as_of=asked.as_of, account=asked.account, extra=asked.degraded)

    def answer_several(self, history: History, asked: Sequence[Question]) -> list[Answer | BearmodeError]:
        """Answer windows that lie in one history, in one run of the model.

        Parameters
        ----------
        history : History
            From the first bar of the first window to the last bar of the last one; with one window, at
            most a window's length.
        asked : sequence of Question
            Oldest first.

        Returns
        -------
        list of Answer or BearmodeError
            To the bit what :meth:`answer` says or raises.
        """
        stamps = history.time.searchsorted(pd.DatetimeIndex([one.history.time[-1] for one in asked]))
        count = len(history) - int(stamps[0])
        rows = self._rows(history.sealed(), count)
        found: list[Answer | BearmodeError] = []
        for one, place in zip(asked, (stamps - stamps[0]).tolist(), strict=True):
            try:
                reason = self._refusal(rows, place)
                if reason is not None:
                    raise refused(reason, one.history, self.manifest.window_bars)
                extra = [*one.degraded, *self._other_source(history)]
                found.append(
                    self._answer(
                        history.symbol, rows, place, as_of=one.as_of, account=one.account, extra=extra
                    )
                )
            except BearmodeError as error:
                found.append(error)
        return found

    def answer(
        self,
        history: History,
        *,
        as_of: pd.Timestamp | None = None,
        account: Account | None = None,
        extra: list[str] | None = None,
    ) -> Answer:
        """Answer for the last bar of a history; longer ones are cut to the window.

        Raises
        ------
        WindowError
            If the window is too short, lacks its last bar or too many others.
        """
        window = history.sealed().window(len(history) - 1, self.manifest.window_bars)
        rows = self._rows(window, 1)
        reason = self._refusal(rows, 0)
        if reason is not None:
            raise refused(reason, window, self.manifest.window_bars)
        extra = [*(extra or []), *self._other_source(history)]
        return self._answer(history.symbol, rows, 0, as_of=as_of, account=account, extra=extra)

    def replay(
        self, history: History, since: pd.Timestamp, until: pd.Timestamp | None
    ) -> Iterator[AnsweredRow]:
        """What :meth:`answer` would have said at each close, in order.

        Parameters
        ----------
        history : History
            With a window's length before ``since`` for the first answers.
        since, until : pandas.Timestamp
            Bar closes, ``since`` included, ``until`` excluded.
        """
        keep = np.asarray(history.time >= since)
        if until is not None:
            keep &= np.asarray(history.time < until)
        wanted = np.flatnonzero(keep)
        if not len(wanted):
            return
        start = max(0, int(wanted[0]) + 1 - self.manifest.window_bars)
        end = int(wanted[-1]) + 1
        rows = self._rows(history.part(start, end).sealed(), len(wanted))
        other = self._other_source(history)
        for row, time in enumerate(rows.time):
            reason = self._refusal(rows, row)
            if reason is None:
                yield AnsweredRow(time, self._answer(history.symbol, rows, row, extra=other), None)
            else:
                yield AnsweredRow(time, None, reason)

    def decided(self, history: History, count: int) -> DecidedRows:
        """What the model says of the last ``count`` bars of a history, without advice.

        Parameters
        ----------
        history : History
            With a window's length before the first of the bars, as far as it goes.
        count : int
        """
        return decided_rows(
            history,
            count,
            self.manifest,
            self._features,
            self._scorer,
            self.probabilities,
            self._squeeze_features,
        )

    def _rows(self, history: History, count: int) -> _Rows:
        decided = self.decided(history, count)
        history = in_universe(history, self.manifest.context_symbols)
        markets = market_states(history, count)
        signals = signal_rows(history, last=count)
        degraded: list[tuple[str, BoolArray]] = []
        for column, name in (("funding_rate", "funding_missing"), ("open_interest", "open_interest_missing")):
            unknown: BoolArray = np.atleast_1d(np.isnan(history.column(column)[-count:]))
            degraded.append((name, unknown))
        others = [closes[-count:] for name, closes in history.context.items() if name != history.symbol]
        if others:
            lacking: BoolArray = np.asarray(np.isnan(np.stack(others)).any(axis=0))
            degraded.append(("context_missing", lacking))
        for group, columns in self.groups.items():
            complete: BoolArray = np.isfinite(decided.features[:, columns]).sum(axis=1) == len(columns)
            degraded.append((f"{group}_features_incomplete", ~complete))
        unusual: BoolArray = np.asarray(decided.novelty > self._scorer.limit)
        degraded.append(("unusual_market", unusual))
        return _Rows(
            time=decided.time,
            probabilities=decided.probabilities,
            decision=decided.decision,
            sets=decided.sets,
            markets=markets,
            squeeze=self._squeezes(decided.beside, markets["sigma_day"]),
            signals=signals.columns,
            confirmed=confirmed_bear(signals.columns),
            agreeing=agreeing(signals.columns, decided.decision.regime),
            available=available(signals.columns),
            effective=signals.effective,
            missing_bars=decided.missing_bars,
            distance=decided.distance,
            novelty=decided.novelty,
            degraded=degraded,
        )

    def _squeezes(self, features: npt.NDArray[np.float32], sigma_day: FloatArray) -> FloatArray:
        """Scales of the adverse excursion, bar by bar; NaN where an input is missing."""
        inputs = squeeze_inputs(features, np.maximum(sigma_day, self.manifest.advice.volatility_floor))
        scales = self.squeeze_scales(inputs)
        scales[~np.isfinite(inputs).all(axis=1)] = np.nan
        return scales

    def _other_source(self, history: History) -> list[str]:
        """Name a source other than the one that the model learned from; a request does not tell."""
        same = history.source in {"request", self.manifest.data_source}
        return [] if same else ["other_data_source"]

    def _refusal(self, rows: _Rows, row: int) -> str | None:
        """Why a bar has no answer, or ``None``."""
        missing, close = float(rows.missing_bars[row]), float(rows.markets["close"][row])
        return refusal(missing, close, self.manifest.window_bars)

    def _answer(
        self,
        symbol: str,
        rows: _Rows,
        row: int,
        *,
        as_of: pd.Timestamp | None = None,
        account: Account | None = None,
        extra: list[str] | None = None,
    ) -> Answer:
        manifest = self.manifest
        close_time = rows.time[row]
        as_of = close_time if as_of is None else as_of
        valid_until = close_time + interval_delta(manifest.interval)
        regime = Regime(int(rows.decision.regime[row]))
        vector = rows.probabilities[row]
        p = vector.tolist()
        likely = [Regime(i) for i in np.argsort(-vector, kind="stable").tolist() if rows.sets[row, i]]
        degraded = [name for name, flags in rows.degraded if flags[row]]
        if regime not in likely:  # the smoothing has not caught up with a jump
            likely.append(regime)
            degraded.append("regime_lags")
        if rows.missing_bars[row] > 0:
            degraded.append("missing_bars")
        if symbol not in manifest.symbols:
            degraded.append("unknown_symbol")
        if not has_tiers(account.exchange if account else "binance", symbol):
            degraded.append("unknown_margin_tier")
        if as_of >= valid_until:
            degraded.append("stale_window")
        age_days = (as_of - self._trained_until) / pd.Timedelta(days=1)
        state = manifest.advice.model_state(age_days)
        if state != "fresh":
            degraded.append(f"model_{state}")
        if manifest.data_source == "simulated":
            degraded.append("model_trained_on_simulated_data")
        degraded += extra or []
        numbers = {name: float(values[row]) for name, values in rows.markets.items()}
        if 0 < numbers["sigma_day"] < manifest.advice.volatility_floor:
            numbers["sigma_day"] = manifest.advice.volatility_floor
            degraded.append("volatility_below_training")
        market = MarketState(symbol=symbol, **numbers)
        squeeze = squeeze_of(symbol, rows.squeeze[row], market.sigma_day, manifest.squeeze)
        if squeeze is None:
            degraded.append("squeeze_missing")
        advice = advise(
            regime=regime,
            probabilities=p,
            prediction_set=likely,
            market=market,
            confirmed=bool(rows.confirmed[row]),
            parameters=manifest.advice,
            degraded=degraded,
            model_state=state,
            simulated_model=manifest.data_source == "simulated",
            account=account,
            squeeze=squeeze,
        )
        degraded += [name for name in assumptions(advice) if name not in degraded]
        read = [
            one
            for one in readings(rows.signals, row)
            if one.state is not SignalState.MISSING or one.name in _ALWAYS
        ]
        would_flip = flips(regime, rows.decision.average[row].tolist(), p, manifest.decision)
        return Answer(
            symbol=symbol,
            as_of=as_of.to_pydatetime(),
            valid_until=valid_until.to_pydatetime(),
            regime=regime.label,
            since=(
                close_time - int(rows.decision.age[row]) * interval_delta(manifest.interval)
            ).to_pydatetime(),
            since_at_least=bool(rows.decision.censored[row]),
            flips=would_flip,
            probabilities=Probabilities.model_construct(**dict(zip(REGIMES, p, strict=True))),
            prediction_set=[one.label for one in likely],
            advice=advice,
            signals=[_reading(one) for one in read],
            agreeing=int(rows.agreeing[row]),
            available=int(rows.available[row]),
            effective_signals=_or_null(rows.effective[row]),
            novelty=_novelty(rows, row),
            degraded=degraded,
            model=ModelInfo(
                version=self.version,
                run_id=self.run.run_id,
                trained_until=manifest.training.trained_until,
                age_days=age_days,
                state=state,
                data_source=manifest.data_source,
            ),
            reasons=reasons(
                regime=regime,
                held=int(rows.decision.age[row]) * interval_delta(manifest.interval),
                held_at_least=bool(rows.decision.censored[row]),
                nearest_flip=would_flip[0],
                probabilities=p,
                confirmed=bool(rows.confirmed[row]),
                advice=advice,
                market=market,
                readings=read,
                degraded=degraded,
            ),
        )


def _novelty(rows: _Rows, row: int) -> Novelty | None:
    percentile = float(rows.novelty[row])
    if np.isnan(percentile):
        return None
    return Novelty(percentile=percentile, distance=float(rows.distance[row]))


def _or_null(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _reading(reading: Reading) -> SignalReading:
    return SignalReading(
        name=reading.name,
        state=reading.state.label,
        value=_or_null(reading.value),
        threshold=_or_null(reading.threshold),
        late=reading.late,
    )
