"""Rules as baselines: what a rule says, turned into probabilities by counting on the training rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import pandas as pd

from features.bars import Bars, FloatArray
from features.history import History
from features.regimes import REGIMES, Regime
from features.signals import CONFIRMING, SignalState, signal_table
from features.signals.core import CORE
from training.dataset import Dataset
from training.models.baseline import Baseline, IndexArray, RegimeArray
from training.models.baselines import CountedAnswers, last_confirmed_label, moving_average_rule

__all__ = [
    "Climatology",
    "CountedRule",
    "LastConfirmedLabel",
    "Majority",
    "MovingAverageRule",
    "SignalsRule",
    "VolatilityThreshold",
    "signals_rule",
]

KindArray = RegimeArray


class CountedRule(Baseline):
    """A rule that says one of a few things at each bar.

    Its probabilities are the class counts of the training rows for what it says, plus 5 x the prior
    (:class:`~training.models.baselines.CountedAnswers`).

    Attributes
    ----------
    kinds : int
        How many different things it can say.
    names_regimes : bool
        Whether what it says, 0 to 3, is a regime: then that is its answer, likely or not.
    """

    kinds: ClassVar[int] = len(REGIMES)
    names_regimes: ClassVar[bool] = True

    def fit(self, dataset: Dataset, rows: IndexArray, cut: pd.Timestamp) -> None:  # noqa: ARG002 - counted rows are enough
        """Count classes by what the rule says; see :meth:`Baseline.fit`."""
        self.learn(dataset, rows)
        self._counted = CountedAnswers(self.says(dataset, rows), dataset.y[rows], self.kinds)

    def answer(self, dataset: Dataset, bars: IndexArray) -> FloatArray:
        """Shares of the classes where the rule said the same; see :meth:`Baseline.answer`."""
        return self._counted.probabilities(self.says(dataset, bars))

    def decide(self, dataset: Dataset, bars: IndexArray, probabilities: FloatArray) -> RegimeArray:
        """What the rule says where that is a regime, else the likeliest; see :meth:`Baseline.decide`."""
        likeliest = super().decide(dataset, bars, probabilities)
        if not self.names_regimes:
            return likeliest
        said = self.says(dataset, bars)
        return np.where(said < len(REGIMES), said, likeliest)

    def learn(self, dataset: Dataset, rows: IndexArray) -> None:
        """Set what the rule itself takes from the training rows; nothing by default."""

    @abstractmethod
    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """What the rule says at some bars, 0 to ``kinds - 1``, shape (n_bars,)."""


class Climatology(CountedRule):
    """The shares of the regimes in the training rows, always."""

    name = "climatology"
    words = "The shares of the regimes in the training rows, whatever the market does."
    kinds = 1
    names_regimes = False

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:  # noqa: ARG002
        """The same for every bar."""
        return np.zeros(len(bars), dtype=np.int64)


class Majority(CountedRule):
    """The regime that the symbol was in most of the time.

    Of a symbol without training rows: that of all symbols. With one regime as everybody's most
    frequent one it says what climatology says.
    """

    name = "majority"
    words = "The regime that the symbol was in most often in the training rows."

    def learn(self, dataset: Dataset, rows: IndexArray) -> None:
        """Count regimes by symbol."""
        counts = np.zeros((len(dataset.symbols), len(REGIMES)))
        np.add.at(counts, (dataset.symbol[rows], dataset.y[rows]), 1.0)
        unseen = counts.sum(axis=1) == 0
        counts[unseen] = counts.sum(axis=0)
        self._most = dict(zip(dataset.symbols, counts.argmax(axis=1).tolist(), strict=True))

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """The symbol's regime."""
        by_index = np.array([self._most[name] for name in dataset.symbols], dtype=np.int64)
        return by_index[dataset.symbol[bars]]


class LastConfirmedLabel(CountedRule):
    """The newest label of the symbol that was confirmed at the bar: some 20 to 34 days old."""

    name = "last_confirmed_label"
    words = "The newest hindsight label that was settled by then, some 20 to 34 days old."
    kinds = len(REGIMES) + 1

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """The label; 4 where none was confirmed yet."""
        answer = np.full(len(dataset.y), len(REGIMES), dtype=np.int64)
        for mine in _symbols(dataset):
            answer[mine] = last_confirmed_label(
                dataset.time[mine], dataset.y[mine], dataset.confirmed_at.iloc[mine]
            )
        return answer[bars]


class MovingAverageRule(CountedRule):
    """Distances from the 120- and 60-day means and the last week's move."""

    name = "moving_average_rule"
    words = "Below its 120-day mean: bear, or relief rally after a strong week; above its 60-day mean: bull."

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """The rule of :func:`~training.models.baselines.moving_average_rule`."""
        return np.concatenate([moving_average_rule(history) for history in dataset.histories])[bars]


class SignalsRule(CountedRule):
    """Three of the four signals that every market has."""

    name = "signals_rule"
    words = "Three of the four trader's signals agree: bearish is bear, bullish is bull, else ranging."
    kinds = len(REGIMES) + 1

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """The rule of :func:`signals_rule`."""
        return np.concatenate([signals_rule(history) for history in dataset.histories])[bars]


def signals_rule(history: History) -> KindArray:
    """Regime by counting signals, shape (n_bars,); row ``t`` uses bars ``<= t``.

    At least three of trend, funding, open interest and mood bearish: bear; at least three bullish:
    bull; else ranging; 4 where fewer than three are available. Traders' signals do not name relief
    rallies: what follows is left to the counts.
    """
    table = signal_table(history)
    states = np.stack([table[signal.name].state for signal in CORE])
    there = (states != SignalState.MISSING).sum(axis=0)
    bearish = (states == SignalState.BEARISH).sum(axis=0) >= CONFIRMING
    bullish = (states == SignalState.BULLISH).sum(axis=0) >= CONFIRMING
    return np.select(
        [there < CONFIRMING, bearish, bullish],
        [len(REGIMES), int(Regime.BEAR), int(Regime.BULL)],
        default=int(Regime.RANGING),
    ).astype(np.int64)


class VolatilityThreshold(CountedRule):
    """Whether volatility is high or low against its own past.

    The threshold is the one of nineteen quantiles of the training rows whose counts tell the regimes
    apart best there.
    """

    name = "volatility_threshold"
    words = "Volatility of 20 days over that of 119 days, above or below a threshold learned in the fold."
    kinds = 3
    names_regimes = False
    FAST_DAYS, SLOW_DAYS = 20, 119

    def learn(self, dataset: Dataset, rows: IndexArray) -> None:
        """Choose the threshold by the likelihood of the counts."""
        ratio = self._ratio(dataset)[rows]
        known = np.isfinite(ratio)
        y = dataset.y[rows]
        self.threshold = 1.0
        if not known.any():
            return
        tried = np.unique(np.quantile(ratio[known], np.linspace(0.05, 0.95, 19)))
        losses = []
        for threshold in tried:
            kind = _side(ratio, threshold)
            p = CountedAnswers(kind, y, self.kinds).probabilities(kind)[np.arange(len(y)), y]
            losses.append(-np.log(p).mean())
        self.threshold = float(tried[int(np.argmin(losses))])

    def says(self, dataset: Dataset, bars: IndexArray) -> KindArray:
        """0 below the threshold, 1 above, 2 where not known."""
        return _side(self._ratio(dataset)[bars], self.threshold)

    def _ratio(self, dataset: Dataset) -> FloatArray:
        parts = []
        for history in dataset.histories:
            bars = Bars(history)
            with np.errstate(all="ignore"):
                parts.append(np.sqrt(bars.variance(self.FAST_DAYS) / bars.variance(self.SLOW_DAYS)))
        return np.concatenate(parts)


def _side(values: FloatArray, threshold: float) -> KindArray:
    kind = (values > threshold).astype(np.int64)
    kind[~np.isfinite(values)] = 2
    return kind


def _symbols(dataset: Dataset) -> list[IndexArray]:
    return [np.flatnonzero(dataset.symbol == index) for index in range(len(dataset.symbols))]
