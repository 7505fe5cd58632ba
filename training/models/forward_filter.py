"""Forward filter of a hidden Markov model, in logs, many chains at once.

Libraries offer smoothed states: theirs of a day have seen the days after it. This one has not.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from features.bars import FloatArray

__all__ = ["forward_filter", "stationary"]


def forward_filter(log_likelihood: FloatArray, start: FloatArray, transition: FloatArray) -> FloatArray:
    """Probability of each state given the observations so far.

    Parameters
    ----------
    log_likelihood : ndarray of shape (n_steps, n_chains, n_states)
        Log density of each observation in each state; NaN in any state: nothing was observed, and the
        step only moves on.
    start : ndarray of shape (n_states,)
        Probabilities at the first step, before its observation.
    transition : ndarray of shape (n_states, n_states)
        From row to column; rows add up to 1.

    Returns
    -------
    ndarray of shape (n_steps, n_chains, n_states)
        Row ``t`` uses steps ``<= t``; rows add up to 1.

    References
    ----------
    Rabiner (1989), A tutorial on hidden Markov models, eq. 19 and 20.

    Examples
    --------
    >>> even = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> seen = np.log(np.array([[[0.5, 0.5]], [[0.8, 0.2]]]))
    >>> forward_filter(seen, np.array([1.0, 0.0]), even)[:, 0].round(3)
    array([[1.   , 0.   ],
           [0.973, 0.027]])
    """
    observed = np.isfinite(log_likelihood).all(axis=2, keepdims=True)
    known = np.where(observed, log_likelihood, 0.0)
    out = np.empty_like(known)
    with np.errstate(divide="ignore"):
        move, before = np.log(transition), np.broadcast_to(np.log(start), known.shape[1:])
    for step, likelihood in enumerate(known):
        # State first: sums run over the axis that is left, and the step from nothing is the start itself.
        ahead = before if step == 0 else logsumexp(before[:, :, None] + move[None], axis=1)
        joint = ahead + likelihood
        before = joint - logsumexp(joint, axis=1, keepdims=True)
        out[step] = before
    filtered: FloatArray = np.exp(out)
    return filtered


def stationary(transition: FloatArray) -> FloatArray:
    """Shares of time that a chain spends in its states in the long run, shape (n_states,).

    Examples
    --------
    >>> stationary(np.array([[0.9, 0.1], [0.3, 0.7]])).round(6)
    array([0.75, 0.25])
    """
    n = len(transition)
    equations = np.vstack((transition.T - np.eye(n), np.ones(n)))
    found = np.linalg.lstsq(equations, np.append(np.zeros(n), 1.0), rcond=None)[0]
    shares: FloatArray = np.clip(found, 0.0, None)
    return np.asarray(shares / shares.sum())
