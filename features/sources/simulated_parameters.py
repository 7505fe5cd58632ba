"""The parameters of the simulated market: one regime process for all, one set of scales per symbol.

All figures are per hourly bar unless a name says otherwise. ``scale`` is the scale of a Student-t
with four degrees of freedom, which equals its mean absolute deviation; the standard deviation is
``sqrt(2)`` times that. Tuples of four follow :data:`features.sources.semi_markov.STATES`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace

from features.sources.semi_markov import SemiMarkov

__all__ = [
    "LEADER",
    "LEADER_SCALE",
    "FundingParameters",
    "OpenInterestParameters",
    "ReturnParameters",
    "SimulationParameters",
    "SymbolParameters",
    "stream_key",
]

LEADER = "SIMBTC"
"""The symbol whose return is the common factor of all others."""

LEADER_SCALE = 0.0048
"""Level of the leader's scale: about 56 % a year with the spread of volatility around it."""

FourFloats = tuple[float, float, float, float]


@dataclass(frozen=True)
class ReturnParameters:
    """Log-return of a bar: ``beta x leader's return of the same bar + Student-t(4)`` in each state.

    Attributes
    ----------
    beta : float
        Loading on the leader's return; 0 for the leader itself.
    base_scale : float
        Level to which the scale of the symbol's own part returns.
    drift : tuple of float
        Location of the own part by state, in scales.
    scale_factor : tuple of float
        Multiplies the scale by state.
    scale_bounds : tuple of float
        The scale stays between these multiples of ``base_scale``.
    half_lives, weights : tuple of float
        Exponential means (in bars) of the own part's absolute value, and their weights in the next
        bar's scale; ``base_scale`` has the rest of the weight.
    squeeze_chance, squeeze_chance_crowded : tuple of float
        Chance by state that a bar is a squeeze; the second where the last settled funding rate was
        negative, so that shorts are the crowd.
    squeeze_size : float
        How many scales a squeeze lifts the location.
    """

    beta: float = 0.0
    base_scale: float = LEADER_SCALE
    drift: FourFloats = (-0.064, 0.0, 0.030, 0.040)
    scale_factor: FourFloats = (1.04, 0.95, 1.04, 0.98)
    scale_bounds: tuple[float, float] = (0.35, 3.0)
    half_lives: FourFloats = (3.0, 24.0, 168.0, 720.0)
    weights: FourFloats = (0.35, 0.24, 0.18, 0.16)
    squeeze_chance: FourFloats = (0.0, 0.0, 0.010, 0.0)
    squeeze_chance_crowded: FourFloats = (0.0, 0.0, 0.018, 0.0)
    squeeze_size: float = 5.0


@dataclass(frozen=True)
class FundingParameters:
    """Funding rate per 8 hours, by the exchange's rule.

    The premium's distance from the default rate is ``level + momentum x score + euphoria x max(0,
    score - euphoria_from) + memory x (last rate - default) + noise``. Within ``dead_band`` of 0 the
    rate is the default; beyond it the rate moves by what exceeds the band, up to ``cap``. The noise
    is logistic, at times (``shock_chance``) ``shock_factor`` times wider.
    """

    default: float = 1e-4
    dead_band: float = 5e-4
    cap: float = 3e-3
    level: FourFloats = (-4.7e-4, -4.4e-4, -4.6e-4, -3.5e-4)
    momentum: FourFloats = (0.5e-4, 0.6e-4, 0.4e-4, 0.7e-4)
    euphoria: FourFloats = (0.0, 0.8e-4, 0.3e-4, 4.5e-4)
    euphoria_from: float = 0.75
    memory: float = 0.80
    noise: float = 1.0e-4
    shock_chance: float = 0.06
    shock_factor: float = 3.5


@dataclass(frozen=True)
class OpenInterestParameters:
    """Daily log-change of open interest in coins, Student-t(4) around a state's response.

    The location is ``level + response x day's log-return - flush x violent moves - pull x (log
    coins - anchor)``; violent moves are what the day's hourly returns exceed ``violent`` scales by.
    In a falling market (bear) a fall adds coins: new shorts. In a relief rally a rise removes them.
    """

    start_usd: float = 1.2e10
    level: FourFloats = (0.006, 0.0, -0.010, 0.003)
    response: FourFloats = (-0.60, 0.0, -0.60, 0.15)
    flush: float = 0.6
    violent: float = 3.0
    pull: float = 0.02
    noise: float = 0.025


@dataclass(frozen=True)
class SymbolParameters:
    """What one simulated symbol needs; ``decimals`` of its prices are its tick."""

    symbol: str
    start_price: float
    returns: ReturnParameters
    funding: FundingParameters
    open_interest: OpenInterestParameters
    daily_turnover_usd: float

    @property
    def decimals(self) -> int:
        """Decimals of a price: a tick of about a millionth of the first price."""
        return max(0, 6 - math.floor(math.log10(self.start_price)))


@dataclass(frozen=True)
class SimulationParameters:
    """Everything that the simulator knows and a Bayes filter may know.

    Attributes
    ----------
    regimes : SemiMarkov
        The states that all symbols share, in hourly bars.
    """

    regimes: SemiMarkov = field(
        default_factory=lambda: SemiMarkov(
            mean_bars=(24.0 * 24, 24.0 * 24, 5.2 * 24, 120.0 * 24),
            phases=(2, 2, 3, 2),
            transition=(
                (0.0, 0.13, 0.85, 0.02),
                (0.45, 0.0, 0.0, 0.55),
                (0.88, 0.07, 0.0, 0.05),
                (0.40, 0.60, 0.0, 0.0),
            ),
            initial=(0.3, 0.3, 0.0, 0.4),
        )
    )

    def of(self, symbol: str) -> SymbolParameters:
        """Parameters of a symbol, from its name alone.

        Examples
        --------
        >>> SimulationParameters().of("SIMBTC").returns.beta
        0.0
        >>> SimulationParameters().of("ANYNAME") == SimulationParameters().of("ANYNAME")
        True
        """
        returns, funding, interest = ReturnParameters(), FundingParameters(), OpenInterestParameters()
        if symbol == LEADER:
            return SymbolParameters(symbol, 30_000.0, returns, funding, interest, 1.2e10)
        price, beta, own, size = _KNOWN.get(symbol) or _drawn(symbol)
        returns = replace(
            returns,
            beta=beta,
            base_scale=own,
            drift=(-0.010, 0.0, 0.012, 0.0),
            squeeze_chance=(0.0, 0.0, 0.005, 0.0),
            squeeze_chance_crowded=(0.0, 0.0, 0.010, 0.0),
        )
        wider = 1.0 + 0.5 * (beta - 1.0)
        funding = replace(
            funding,
            cap=2e-2,
            noise=round(funding.noise * wider, 8),
            level=(-4.9e-4, -4.5e-4, -4.8e-4, -3.7e-4),
        )
        interest = replace(interest, start_usd=interest.start_usd * size, noise=0.030)
        return SymbolParameters(symbol, price, returns, funding, interest, 1.2e10 * size)


_KNOWN: dict[str, tuple[float, float, float, float]] = {
    "SIMETH": (2_000.0, 1.08, 0.0030, 0.5),
    "SIMSOL": (100.0, 1.30, 0.0062, 0.12),
}
"""Start price, beta, own scale, size against the leader."""


def _drawn(symbol: str) -> tuple[float, float, float, float]:
    key = stream_key(symbol, "parameters")
    a, b, c, d = ((key >> shift & 0xFFFF) / 0xFFFF for shift in (0, 16, 32, 48))
    return (
        round(10.0 ** (4.0 * a - 1.0), 4),
        round(1.0 + 0.4 * b, 4),
        round(0.003 + 0.003 * c, 6),
        round(0.02 + 0.15 * d, 4),
    )


def stream_key(name: str, purpose: str) -> int:
    """64 bits that name a random stream, equal on every machine."""
    return int.from_bytes(hashlib.sha256(f"{name}/{purpose}".encode()).digest()[:8], "big")
