"""One symbol's path through the simulated market: returns, funding and open interest, bar by bar."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.sources.simulated_parameters import FundingParameters, SymbolParameters, stream_key
from features.sources.simulated_past import ObservedPast

__all__ = ["Path", "draw_path", "logistic", "random_stream", "significant", "significant_all"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """What was drawn and what the past gave, one entry per hourly bar.

    Attributes
    ----------
    close : ndarray
        Close, rounded to the tick.
    log_return : ndarray
        Log-return of the rounded closes.
    spread : ndarray
        Standard deviation that the past gave the bar.
    typical : ndarray
        Slow mean of the absolute return, before the bar.
    score : ndarray
        Momentum after the bar.
    funding_rate, open_interest : ndarray
        NaN except at settlements (00, 08, 16 UTC) and UTC midnights.
    """

    close: FloatArray
    log_return: FloatArray
    spread: FloatArray
    typical: FloatArray
    score: FloatArray
    funding_rate: FloatArray
    open_interest: FloatArray


def random_stream(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Stream of its own for each seed, name and purpose, equal on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream_key(name, purpose)])))


def logistic(uniform: FloatArray) -> FloatArray:
    """Draw standard logistic values from uniforms in [0, 1), rounded to 10 decimals."""
    u = np.clip(uniform, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.round(np.log(u / (1.0 - u)), 10), dtype=np.float64)


def significant(value: float, digits: int = 8) -> float:
    """Round ``value`` to significant digits.

    Examples
    --------
    >>> significant(12345.678901)
    12345.679
    """
    return float(f"{value:.{digits}g}")


def significant_all(values: FloatArray) -> FloatArray:
    """Round each of ``values`` to 8 significant digits."""
    return np.array([significant(value) for value in values.tolist()], dtype=np.float64)


def _student(first: FloatArray, second: FloatArray) -> FloatArray:
    # Bailey (1994), "Polar generation of random variates with the t-distribution", for 4 degrees.
    radius = 2.0 * np.sqrt(1.0 / np.sqrt(1.0 - first) - 1.0)
    return np.asarray(np.round(radius * np.cos(2.0 * math.pi * second), 10), dtype=np.float64)


def draw_path(
    parameters: SymbolParameters,
    states: NDArray[np.int64],
    hours: NDArray[np.int64],
    seed: int,
    leader: Path | None = None,
) -> Path:
    """Draw a symbol's path given the states.

    Parameters
    ----------
    states : ndarray of shape (n_bars,)
        State of each bar.
    hours : ndarray of shape (n_bars,)
        UTC hour of each bar's close.
    leader : Path, optional
        Needed unless ``parameters.returns.beta`` is 0.
    """
    n = len(states)
    uniform = random_stream(seed, parameters.symbol, "path").random((n, 7))
    shock, change_shock = _student(uniform[:, 0], uniform[:, 1]), _student(uniform[:, 5], uniform[:, 6])
    premium_shock = logistic(uniform[:, 3])
    r, f, o = parameters.returns, parameters.funding, parameters.open_interest
    lead_return = np.zeros(n) if leader is None else leader.log_return
    lead_spread = np.zeros(n) if leader is None else leader.spread
    past = ObservedPast(parameters)
    close, log_return, scales, typical, score = (np.empty(n) for _ in range(5))
    rates, interest = np.full(n, np.nan), np.full(n, np.nan)
    last, decimals = parameters.start_price, parameters.decimals
    for t in range(n):
        state, scale = int(states[t]), past.scale()
        scales[t], typical[t] = scale, past.typical
        chance = r.squeeze_chance_crowded if past.last_rate < 0.0 else r.squeeze_chance
        location = r.drift[state] + (r.squeeze_size if uniform[t, 2] < chance[state] else 0.0)
        own = scale * (location + r.scale_factor[state] * float(shock[t]))
        price = max(round(last * math.exp(r.beta * float(lead_return[t]) + own), decimals), 10.0**-decimals)
        log_return[t] = math.log(price / last)
        close[t] = last = price
        past.see_bar(float(log_return[t]), float(lead_return[t]))
        score[t] = past.score()
        if hours[t] % 8 == 0:
            wide = f.shock_factor if uniform[t, 4] < f.shock_chance else 1.0
            premium = (
                f.level[state]
                + f.momentum[state] * float(score[t])
                + f.euphoria[state] * max(0.0, float(score[t]) - f.euphoria_from)
                + f.memory * (past.last_rate - f.default)
                + f.noise * wide * float(premium_shock[t])
            )
            rates[t] = past.last_rate = _settled(f, premium)
        if hours[t] == 0:
            location = o.level[state] + o.response[state] * past.day_return
            location -= o.flush * past.violent + o.pull * past.gap
            coins = math.exp(past.gap + location + o.noise * float(change_shock[t]))
            interest[t] = significant(coins * past.anchor * price)
            past.see_day_end(past.coins_gap(float(interest[t]), price))
    spread = np.sqrt(2.0 * scales**2 + (r.beta * lead_spread) ** 2)
    return Path(close, log_return, spread, typical, score, rates, interest)


def _settled(f: FundingParameters, premium: float) -> float:
    beyond = max(0.0, premium - f.dead_band) + min(0.0, premium + f.dead_band)
    return max(-f.cap, min(f.cap, round(f.default + beyond, 8)))
