"""Models of unnamed states as baselines: Gaussian hidden Markov model and statistical jump model.

Both are fitted without labels, on the days at midnight UTC of the training rows; their states become
regimes by counts on the training rows. Answers are online: no method that has seen the days after a
bar is ever called (hmmlearn's ``predict`` and ``predict_proba``, jumpmodels' likewise).
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import numpy as np
import pandas as pd

from features.bars import FloatArray
from features.errors import TrainingError
from features.regimes import REGIMES
from training.dataset import Dataset
from training.models.baseline import Baseline, IndexArray
from training.models.baselines import shares_of
from training.models.daily_closes import drift_and_volatility, held, midnight_days, risk_and_reward
from training.models.forward_filter import forward_filter, stationary

__all__ = ["GaussianHiddenMarkov", "StateModel", "StatisticalJump"]

SEED = 7
FEWEST_DAYS = 120
"""Days that a fit needs."""
_CLIP = 4.0


class StateModel(Baseline):
    """States of days, mapped to regimes by counts; an answer holds until the next midnight.

    Parameters
    ----------
    states : int
    """

    def __init__(self, *, states: int = 4) -> None:
        self.states = states

    @abstractmethod
    def observe(self, close: FloatArray) -> FloatArray:
        """Observations from closes of days, (n_days, n_symbols) to (n_days, n_symbols, k); online."""

    @abstractmethod
    def learn(self, days: FloatArray, lengths: list[int]) -> None:
        """Fit on sequences of days, one after the other, shape (sum of lengths, k)."""

    @abstractmethod
    def follow(self, days: FloatArray) -> FloatArray:
        """Probabilities of the states, online.

        ``days`` of shape (n_days, n_symbols, k), NaN where a day is missing; the result of shape
        (n_days, n_symbols, states), in which row ``t`` uses rows ``<= t``.
        """

    def fit(self, dataset: Dataset, rows: IndexArray, cut: pd.Timestamp) -> None:  # noqa: ARG002 - the rows end before it
        """Fit the states, then count regimes in them; see :meth:`Baseline.fit`."""
        days = midnight_days(dataset.histories)
        observed = self.observe(days.close)
        at_midnight = rows[np.asarray(dataset.time[rows].hour == 0)]
        day, symbol = days.latest[at_midnight], dataset.symbol[at_midnight]
        there = np.isfinite(observed[day, symbol]).all(axis=1)
        day, symbol = day[there], symbol[there]
        if len(day) < FEWEST_DAYS:
            raise TrainingError(
                f"{self.name}: {len(day)} days of training rows, at least {FEWEST_DAYS} are needed",
                hint="use a longer history or more symbols",
            )
        seen = observed[day, symbol]
        self._mean = seen.mean(axis=0)
        spread = seen.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        seams = np.flatnonzero((np.diff(day) != 1) | (np.diff(symbol) != 0)) + 1
        edges = [0, *seams.tolist(), len(day)]
        self.learn(self._scaled(seen), np.diff(edges).tolist())
        weights = held(self.follow(self._scaled(observed)), days, self._unknown)[rows]
        y = dataset.y[rows]
        counts = np.stack([weights[y == index].sum(axis=0) for index in range(len(REGIMES))], axis=1)
        self.table: FloatArray = shares_of(counts, y)

    def answer(self, dataset: Dataset, bars: IndexArray) -> FloatArray:
        """Mix of the states' regimes; see :meth:`Baseline.answer`."""
        days = midnight_days(dataset.histories)
        daily = self.follow(self._scaled(self.observe(days.close)))
        return np.asarray(held(daily, days, self._unknown)[bars] @ self.table)

    def parameters(self) -> dict[str, Any]:
        """How many states."""
        return {"states": self.states}

    @property
    @abstractmethod
    def _unknown(self) -> FloatArray:
        """States of a symbol before its first midnight."""

    def _scaled(self, observed: FloatArray) -> FloatArray:
        return np.asarray(np.clip((observed - self._mean) / self._spread, -_CLIP, _CLIP))


class GaussianHiddenMarkov(StateModel):
    """Gaussian hidden Markov model: hmmlearn for fitting, our own forward filter for answering.

    Parameters
    ----------
    states : int
    starts : int
        Random starts; the one with the highest likelihood is kept.
    """

    name = "gaussian_hmm"
    words = "Gaussian hidden Markov model of drift and volatility, filtered forward, a step a day."

    def __init__(self, *, states: int = 4, starts: int = 4) -> None:
        super().__init__(states=states)
        self.starts = starts

    def observe(self, close: FloatArray) -> FloatArray:
        """Drift and volatility."""
        return drift_and_volatility(close)

    def learn(self, days: FloatArray, lengths: list[int]) -> None:
        """Fit by expectation-maximisation from several starts."""
        from hmmlearn.hmm import GaussianHMM  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        logging.getLogger("hmmlearn").setLevel(
            logging.ERROR
        )  # it tells of every last step that was not better
        best = -np.inf
        failures: list[str] = []
        for start in range(self.starts):
            model = GaussianHMM(
                self.states,
                covariance_type="full",
                min_covar=1e-2,
                n_iter=60,
                tol=1.0,
                random_state=SEED + start,
            )
            try:
                with threadpool_limits(1):  # matrices of 4 x 4: more threads only wait for each other
                    model.fit(days, lengths)
            except ValueError as error:  # a state that collapsed
                failures.append(str(error))
                continue
            likelihood = float(model.monitor_.history[-1])
            if not np.isfinite(model.transmat_).all() or not likelihood > best:
                continue
            best = likelihood
            self._means, self._covariances = model.means_, model.covars_
            self._transition = model.transmat_ / model.transmat_.sum(axis=1, keepdims=True)
        if not np.isfinite(best):
            why = failures[-1] if failures else "no finite likelihood"
            raise TrainingError(
                f"{self.name}: none of {self.starts} starts gave a model ({why})",
                hint="use a longer history or more symbols",
            )

    def follow(self, days: FloatArray) -> FloatArray:
        """Filter forward, from the long-run shares of the states."""
        flat = days.reshape(-1, days.shape[2])
        there = np.isfinite(flat).all(axis=1)
        log_likelihood = np.full((len(flat), self.states), np.nan)
        for state, (mean, covariance) in enumerate(zip(self._means, self._covariances, strict=True)):
            log_likelihood[there, state] = _log_density(flat[there], mean, covariance)
        return forward_filter(
            log_likelihood.reshape(*days.shape[:2], self.states), self._unknown, self._transition
        )

    @property
    def _unknown(self) -> FloatArray:
        return stationary(self._transition)

    def parameters(self) -> dict[str, Any]:
        """States and starts."""
        return {"states": self.states, "starts": self.starts}


class StatisticalJump(StateModel):
    """Statistical jump model: states whose every change costs something, told online.

    The last column of its states is for days before the first observation.

    Parameters
    ----------
    states : int
    penalty : float
        Cost of a change of state, against half the squared distance from the state's centre.
    starts : int

    References
    ----------
    Nystrup, Lindström, Madsen (2020), Learning hidden Markov models with persistent states by
    penalizing jumps. Online: Shu, Yu, Mulvey (2024).
    """

    name = "jump_model"
    words = "Statistical jump model of downside deviation and Sortino ratios, online, a step a day."

    def __init__(self, *, states: int = 4, penalty: float = 20.0, starts: int = 5) -> None:
        super().__init__(states=states)
        self.penalty = penalty
        self.starts = starts

    def observe(self, close: FloatArray) -> FloatArray:
        """Downside deviation and Sortino ratios."""
        return risk_and_reward(close)

    def learn(self, days: FloatArray, lengths: list[int]) -> None:  # noqa: ARG002 - a seam costs one jump at most
        """Fit by coordinate descent, all sequences in one."""
        from jumpmodels.jump import JumpModel  # noqa: PLC0415

        self._model = JumpModel(
            self.states, jump_penalty=self.penalty, n_init=self.starts, random_state=SEED
        ).fit(days, sort_by=None)

    def follow(self, days: FloatArray) -> FloatArray:
        """Tell each symbol's state from its days so far; a missing day keeps the state."""
        n_days, n_symbols, _ = days.shape
        told = np.zeros((n_days, n_symbols, self.states + 1))
        for symbol in range(n_symbols):
            there = np.isfinite(days[:, symbol]).all(axis=1)
            state = np.full(n_days, self.states)
            if there.any():
                online = np.asarray(self._model.predict_online(days[there, symbol]), dtype=np.int64)
                newest = np.cumsum(there) - 1
                state = np.where(newest >= 0, online[np.maximum(newest, 0)], self.states)
            told[np.arange(n_days), symbol, state] = 1.0
        return told

    @property
    def _unknown(self) -> FloatArray:
        return np.asarray(np.eye(self.states + 1)[self.states])

    def parameters(self) -> dict[str, Any]:
        """States, penalty and starts."""
        return {"states": self.states, "penalty": self.penalty, "starts": self.starts}


def _log_density(values: FloatArray, mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Log density of a normal law at each row, shape (n_rows,).

    Column by column: the bits of a row do not depend on how many there are, as those of a matrix
    product do.
    """
    factor = np.linalg.cholesky(covariance)
    whitening = np.linalg.inv(factor)
    distance = np.zeros(len(values))
    for row in whitening:
        part = np.zeros(len(values))
        for column, weight in enumerate(row):
            part += weight * (values[:, column] - mean[column])
        distance += part**2
    constant = 0.5 * len(mean) * np.log(2 * np.pi) + np.log(np.diag(factor)).sum()
    return np.asarray(-0.5 * distance - constant)
