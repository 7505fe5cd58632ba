"""What the simulated market remembers of its own observed past: volatility, momentum, open interest.

Only observed values enter, so anybody who holds the history can recompute it. Every kept number is
rounded, so that a last-bit difference between machines cannot grow.
"""

from __future__ import annotations

import math

from features.sources.simulated_parameters import LEADER_SCALE, SymbolParameters

__all__ = ["ObservedPast"]

_DIGITS = 12
_MOMENTUM_BARS = 72.0
_SLOW = 3  # which of the half-lives is the typical move's
_CLIP = 6.0


def _kept(half_life: float) -> float:
    return math.exp(-math.log(2.0) / half_life)


class ObservedPast:
    """Recursions over the observed bars of one symbol.

    Parameters
    ----------
    parameters : SymbolParameters
        Gives the half-lives, weights and starting levels.

    Attributes
    ----------
    last_rate : float
        The last settled funding rate; the default rate before the first.
    day_return : float
        Log-return since the last UTC midnight.
    violent : float
        What hourly moves since then exceeded a multiple of the typical move by, summed.
    gap : float
        Log of the last known open interest in coins, less its anchor.
    """

    def __init__(self, parameters: SymbolParameters) -> None:
        r = parameters.returns
        self.last_rate = parameters.funding.default
        self.day_return = 0.0
        self.violent = 0.0
        self.gap = 0.0
        self._beta = r.beta
        self._keep = [round(_kept(h), _DIGITS) for h in r.half_lives]
        self._weights = r.weights
        self._floor = (1.0 - sum(r.weights)) * r.base_scale
        self._least, self._most = (bound * r.base_scale for bound in r.scale_bounds)
        self._means = [r.base_scale] * len(r.half_lives)
        # The symbol's own part and the leader's add like standard deviations.
        self._typical = round(math.hypot(r.base_scale, r.beta * LEADER_SCALE), _DIGITS)
        self._momentum = 0.0
        self._momentum_keep = round(_kept(_MOMENTUM_BARS), _DIGITS)
        keep = self._momentum_keep
        self._momentum_unit = round(math.sqrt(2.0 * (1.0 - keep) / (1.0 + keep)), _DIGITS)
        self._violent_from = parameters.open_interest.violent
        self.anchor = parameters.open_interest.start_usd / parameters.start_price

    @property
    def typical(self) -> float:
        """Slow mean (half-life 30 days) of the absolute hourly log-return."""
        return self._typical

    def scale(self) -> float:
        """Scale of the next bar's own return, before the state's factor."""
        w, m = self._weights, self._means
        scale = self._floor + w[0] * m[0] + w[1] * m[1] + w[2] * m[2] + w[3] * m[3]
        return round(max(self._least, min(self._most, scale)), _DIGITS)

    def score(self) -> float:
        """Three-day momentum in standard deviations of a market without drift, within +-3."""
        return round(max(-3.0, min(3.0, self._momentum / (self._typical * self._momentum_unit))), 8)

    def see_bar(self, log_return: float, leader_return: float) -> float:
        """Take in one bar; returns the symbol's own part of its log-return."""
        own = log_return - self._beta * leader_return
        size = min(abs(own), _CLIP * self.scale())
        self._means = [
            round(size + keep * (mean - size), _DIGITS)
            for keep, mean in zip(self._keep, self._means, strict=True)
        ]
        self.violent = round(
            self.violent + max(0.0, abs(log_return) - self._violent_from * self._typical), _DIGITS
        )
        move = min(abs(log_return), _CLIP * self._typical)
        self._typical = round(move + self._keep[_SLOW] * (self._typical - move), _DIGITS)
        self._momentum = round(log_return + self._momentum_keep * (self._momentum - log_return), _DIGITS + 3)
        self.day_return = round(self.day_return + log_return, _DIGITS)
        return own

    def coins_gap(self, open_interest_usd: float, close: float) -> float:
        """Log of open interest in coins less its anchor."""
        return math.log(open_interest_usd / (close * self.anchor))

    def see_day_end(self, gap: float) -> None:
        """Take in the day's open interest and start the next day."""
        self.gap = round(gap, _DIGITS)
        self.day_return = 0.0
        self.violent = 0.0
