"""The laws of the simulated market in closed form: return, funding rate and change of open interest.

Each takes arrays of n observations with what the past gives them and answers shape (n, 4), a column
per state.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.sources.simulated_parameters import (
    FundingParameters,
    OpenInterestParameters,
    ReturnParameters,
)

__all__ = [
    "funding_cdf",
    "funding_log_density",
    "open_interest_cdf",
    "open_interest_log_density",
    "return_cdf",
    "return_log_density",
    "student_cdf",
    "student_pdf",
]

FloatArray = NDArray[np.float64]

_HALF_DIGIT = 5e-9
"""Half of the last of a rate's eight decimals."""


def student_pdf(z: FloatArray) -> FloatArray:
    """Density of Student's t with four degrees of freedom."""
    return np.asarray(0.375 * (1.0 + z * z / 4.0) ** -2.5, dtype=np.float64)


def student_cdf(z: FloatArray) -> FloatArray:
    """Distribution function of Student's t with four degrees of freedom (algebraic)."""
    w = 1.0 + z * z / 4.0
    return np.asarray(0.5 + 0.375 * z / np.sqrt(w) * (1.0 - z * z / (12.0 * w)), dtype=np.float64)


def _standardised(
    p: ReturnParameters, own_return: FloatArray, scale: FloatArray, crowded: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    width = scale[:, None] * np.array(p.scale_factor)
    z = (own_return[:, None] - scale[:, None] * np.array(p.drift)) / width
    lift = p.squeeze_size / np.array(p.scale_factor)
    chance = np.where(crowded[:, None], np.array(p.squeeze_chance_crowded), np.array(p.squeeze_chance))
    return z, z - lift, width, chance


def return_log_density(
    p: ReturnParameters, own_return: FloatArray, scale: FloatArray, crowded: NDArray[np.bool_]
) -> FloatArray:
    """Log density of a bar's own return, shape (n, 4): a Student-t and, in relief rallies, a squeeze."""
    plain, lifted, width, chance = _standardised(p, own_return, scale, crowded)
    density = (1.0 - chance) * student_pdf(plain) + chance * student_pdf(lifted)
    return np.asarray(np.log(density / width), dtype=np.float64)


def return_cdf(
    p: ReturnParameters, own_return: FloatArray, scale: FloatArray, crowded: NDArray[np.bool_]
) -> FloatArray:
    """Distribution function that belongs to :func:`return_log_density`, shape (n, 4)."""
    plain, lifted, _, chance = _standardised(p, own_return, scale, crowded)
    return np.asarray((1.0 - chance) * student_cdf(plain) + chance * student_cdf(lifted), dtype=np.float64)


def _premium(p: FundingParameters, score: FloatArray, last_rate: FloatArray) -> FloatArray:
    memory = p.memory * (last_rate - p.default)
    beyond = np.maximum(0.0, score - p.euphoria_from)
    response = np.array(p.momentum) * score[:, None] + np.array(p.euphoria) * beyond[:, None]
    return np.asarray(np.array(p.level) + response + memory[:, None], dtype=np.float64)


def _noise_cdf(p: FundingParameters, x: FloatArray) -> FloatArray:
    narrow = 0.5 + 0.5 * np.tanh(x / (2.0 * p.noise))
    wide = 0.5 + 0.5 * np.tanh(x / (2.0 * p.noise * p.shock_factor))
    return np.asarray((1.0 - p.shock_chance) * narrow + p.shock_chance * wide, dtype=np.float64)


def _noise_pdf(p: FundingParameters, x: FloatArray) -> FloatArray:
    def logistic(scale: float) -> FloatArray:
        tail = np.exp(-np.abs(x) / scale)
        return np.asarray(tail / (scale * (1.0 + tail) ** 2), dtype=np.float64)

    wide = logistic(p.noise * p.shock_factor)
    return (1.0 - p.shock_chance) * logistic(p.noise) + p.shock_chance * wide


def funding_log_density(
    p: FundingParameters, rate: FloatArray, score: FloatArray, last_rate: FloatArray
) -> FloatArray:
    """Log density of a settled rate, shape (n, 4).

    A mixed law: a probability at the default rate (the premium lies in the dead band, or so little
    outside that the rate rounds to the default) and at the two caps, a density elsewhere.
    """
    centre = _premium(p, score, last_rate)
    band, cap = p.dead_band + _HALF_DIGIT, p.cap - _HALF_DIGIT
    y = (rate - p.default)[:, None]
    at_default = _noise_cdf(p, band - centre) - _noise_cdf(p, -band - centre)
    top = _noise_cdf(p, centre - (cap - p.default + p.dead_band))
    bottom = _noise_cdf(p, -cap - p.default - p.dead_band - centre)
    inside = _noise_pdf(p, y + np.sign(y) * p.dead_band - centre)
    density = np.where(np.abs(y) < _HALF_DIGIT, at_default, inside)
    density = np.where(rate[:, None] > cap, top, density)
    density = np.where(rate[:, None] < -cap, bottom, density)
    return np.asarray(np.log(np.maximum(density, 1e-300)), dtype=np.float64)


def funding_cdf(
    p: FundingParameters, rate: FloatArray, score: FloatArray, last_rate: FloatArray
) -> FloatArray:
    """Chance of a settled rate <= ``rate`` (which includes its own mass at the default), shape (n, 4)."""
    y = (rate - p.default)[:, None]
    edge = np.where(y > -_HALF_DIGIT, p.dead_band, -p.dead_band)
    chance = _noise_cdf(p, y + edge - _premium(p, score, last_rate))
    return np.asarray(np.where(rate[:, None] >= p.cap, 1.0, chance), dtype=np.float64)


def _interest_z(
    p: OpenInterestParameters,
    change: FloatArray,
    day_return: FloatArray,
    violent: FloatArray,
    gap: FloatArray,
) -> FloatArray:
    location = np.array(p.level) + np.array(p.response) * day_return[:, None]
    location = location - (p.flush * violent + p.pull * gap)[:, None]
    return np.asarray((change[:, None] - location) / p.noise, dtype=np.float64)


def open_interest_log_density(
    p: OpenInterestParameters,
    change: FloatArray,
    day_return: FloatArray,
    violent: FloatArray,
    gap: FloatArray,
) -> FloatArray:
    """Log density of a day's log-change of open interest in coins, shape (n, 4).

    Given the day's return this is also the density of the change in USD: the two differ by it.
    """
    z = _interest_z(p, change, day_return, violent, gap)
    return np.asarray(np.log(student_pdf(z) / p.noise), dtype=np.float64)


def open_interest_cdf(
    p: OpenInterestParameters,
    change: FloatArray,
    day_return: FloatArray,
    violent: FloatArray,
    gap: FloatArray,
) -> FloatArray:
    """Distribution function that belongs to :func:`open_interest_log_density`, shape (n, 4)."""
    return student_cdf(_interest_z(p, change, day_return, violent, gap))
