"""A semi-Markov chain of market states: how long each lasts, which one follows, and its exact online filter.

A spell of state ``s`` lasts ``phases[s]`` geometric phases, one after the other, so its length in
bars is negative binomial. That is an explicit-duration chain (the chance that a spell ends depends
on its age) whose forward recursion is exact over the few (state, phase) pairs instead of over
thousands of ages. Background: Rabiner (1989), section IV-D; Guedon (2003), "Estimating hidden
semi-Markov chains from discrete sequences".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STATES", "SemiMarkov"]

STATES: tuple[str, ...] = ("bear", "ranging", "relief_rally", "bull")
"""Names of the states; their position is their index everywhere."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SemiMarkov:
    """Four states with negative binomial durations and no self-transitions.

    Parameters
    ----------
    mean_bars : tuple of float
        Mean length of a spell of each state, in bars.
    phases : tuple of int
        Geometric phases of a spell; 1 is memoryless, more is more regular. The standard deviation
        of a length is close to ``mean / sqrt(phases)``; a spell lasts at least ``phases`` bars.
    transition : tuple of tuple of float
        Row ``s``: chance of each next state when a spell of ``s`` ends; the diagonal is 0.
    initial : tuple of float
        Chance of each state at the first bar, where a fresh spell starts.

    Examples
    --------
    >>> chain = SemiMarkov((4.0, 4.0), (2, 2), ((0.0, 1.0), (1.0, 0.0)), (1.0, 0.0))
    >>> round(float(chain.duration_pmf(0, 200).sum()), 12)
    1.0
    """

    mean_bars: tuple[float, ...]
    phases: tuple[int, ...]
    transition: tuple[tuple[float, ...], ...]
    initial: tuple[float, ...]

    def sample(self, rng: np.random.Generator, n_bars: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw a path; a longer one has the shorter one as its prefix.

        Returns
        -------
        states, ages : ndarray of shape (n_bars,)
            State of each bar, and how many bars of its spell have passed, this one included.
        """
        states = np.empty(n_bars, dtype=np.int64)
        ages = np.empty(n_bars, dtype=np.int64)
        start, state = 0, _pick(self.initial, rng.random())
        while start < n_bars:
            leave = math.log1p(-self.phases[state] / self.mean_bars[state])
            # A geometric phase by inversion; 1 - random() is in (0, 1], so the logarithm is finite.
            length = sum(
                max(1, math.ceil(math.log(1.0 - rng.random()) / leave)) for _ in range(self.phases[state])
            )
            stop = min(start + length, n_bars)
            states[start:stop] = state
            ages[start:stop] = np.arange(1, stop - start + 1)
            start, state = stop, _pick(self.transition[state], rng.random())
        return states, ages

    def duration_pmf(self, state: int, longest: int) -> FloatArray:
        """Chance that a spell of ``state`` lasts exactly 1, 2, ..., ``longest`` bars."""
        k = self.phases[state]
        p = k / self.mean_bars[state]
        pmf = np.zeros(longest)
        for d in range(k, longest + 1):
            log_ways = math.lgamma(d) - math.lgamma(k) - math.lgamma(d - k + 1)
            pmf[d - 1] = math.exp(log_ways + k * math.log(p) + (d - k) * math.log1p(-p))
        return pmf

    def shares(self) -> FloatArray:
        """Share of time in each state in the long run."""
        jumps = np.array(self.transition)
        n = len(jumps)
        system = np.vstack([jumps.T - np.eye(n), np.ones(n)])
        visits = np.linalg.lstsq(system, np.r_[np.zeros(n), 1.0], rcond=None)[0]
        time = visits * np.array(self.mean_bars)
        return np.asarray(time / time.sum(), dtype=np.float64)

    def filter_online(self, log_density: FloatArray) -> FloatArray:
        """State probabilities given everything up to and including each bar.

        Parameters
        ----------
        log_density : ndarray of shape (n_bars, n_states)
            Log density of what bar ``t`` showed, given the state and the observed past.

        Returns
        -------
        ndarray of shape (n_bars, n_states)
            Row ``t`` uses rows <= t; rows sum to 1. Exact for this chain.
        """
        owner = np.repeat(np.arange(len(self.phases)), self.phases)
        first = np.r_[0, np.cumsum(self.phases)[:-1]]
        step = self._phase_matrix(owner, first)
        weight = np.exp(log_density - log_density.max(axis=1, keepdims=True))[:, owner]
        out = np.empty((len(log_density), len(owner)))
        belief = np.zeros(len(owner))
        belief[first] = self.initial
        for t in range(len(log_density)):
            if t:
                belief = belief @ step
            belief = belief * weight[t]
            belief /= belief.sum()
            out[t] = belief
        return np.add.reduceat(out, first, axis=1)

    def _phase_matrix(self, owner: NDArray[np.int64], first: NDArray[np.int64]) -> FloatArray:
        matrix = np.zeros((len(owner), len(owner)))
        for i, state in enumerate(owner):
            end = self.phases[state] / self.mean_bars[state]
            matrix[i, i] = 1.0 - end
            if i + 1 < len(owner) and owner[i + 1] == state:
                matrix[i, i + 1] = end
            else:
                matrix[i, first] += end * np.array(self.transition[state])
        return matrix


def _pick(chances: tuple[float, ...], draw: float) -> int:
    total = 0.0
    for index, chance in enumerate(chances):
        total += chance
        if draw < total:
            return index
    return max(index for index, chance in enumerate(chances) if chance > 0.0)
