"""Features of the leader, the symbol that the others follow, and of a symbol beside it.

The leader's own values for the leader itself: its return is its own, it moves one for one with itself
and its strength against itself is 0. NaN where the universe has no leader.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.bars import Bars, FloatArray, divide
from features.context import CONTEXT, leader_of
from features.declaration import Feature
from features.rolling.table import table_mean
from features.tail_rows import missing, tail_of
from features.universe_bars import universe_bars

__all__ = ["beside_leader_features", "leader_features"]

GROUP = "cross_market"
LONGEST_DAYS = 120
PAIR_DAYS = 30
"""Days that moving together is measured over."""
LEADER_RETURNS = (1, 3, 7, 30)
LEADER_MEANS = (20, 100)
LEADER_HIGH = 60
LEAD_LAG = "Lo, MacKinlay (1990), When are contrarian profits due to stock market overreaction?"
STRENGTH = "Jegadeesh, Titman (1993), Returns to buying winners and selling losers"
BETA = "Ang, Chen (2002), Asymmetric correlations of equity portfolios"


def _leader(bars: Bars) -> Bars | None:
    """The leader as bars with a close; ``None`` without one."""
    name = leader_of(bars.universe)
    return None if name is None else universe_bars(bars).of(name)


def _leader_moves(leader: Bars) -> FloatArray:
    """All moves of the leader in standard deviations of their drift, a row each."""

    def compute() -> FloatArray:
        logs = leader.log_close
        now = leader.now(logs)
        moves = {
            **{days: leader.move(days) for days in LEADER_RETURNS},
            **{days: now - leader.recent_mean("log_close", logs, days) for days in LEADER_MEANS},
            LEADER_HIGH: now - leader.recent_highest("log_close", logs, LEADER_HIGH),
        }
        return np.stack([leader.in_sd(move, days) for days, move in moves.items()])

    return leader.keep("leader moves", compute)


def leader_features() -> list[Feature]:
    """Declare the features of the leader."""
    follow = (
        "bear from bull over long spans, bear from relief rally over short ones: others follow the leader"
    )
    state = "a bear of the whole market (leader low) from one of this symbol alone; bull (leader high)"
    declared = [
        *((f"return_{days}d", f"log return over {days} d", follow) for days in LEADER_RETURNS),
        *((f"above_mean_{days}d", f"log close - its mean over {days} d,", state) for days in LEADER_MEANS),
        (f"below_high_{LEADER_HIGH}d", f"log close - its highest of {LEADER_HIGH} d,", state),
    ]

    def of(row: int) -> Callable[[Bars], FloatArray]:
        def compute(bars: Bars) -> FloatArray:
            leader = _leader(bars)
            return missing(bars) if leader is None else np.asarray(_leader_moves(leader)[row])

        return compute

    return [
        Feature(
            f"leader_{name}",
            GROUP,
            LONGEST_DAYS,
            "sd",
            (CONTEXT,),
            f"the leader's {words} / (its sigma x sqrt(days))",
            of(row),
            LEAD_LAG,
            tells,
        )
        for row, (name, words, tells) in enumerate(declared)
    ]


def _relative_return(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        leader = _leader(bars)
        if leader is None:
            return missing(bars)
        return bars.in_sd(bars.move(days) - leader.move(days), days)

    return Feature(
        f"relative_return_{days}d",
        GROUP,
        LONGEST_DAYS,
        "sd",
        ("close", CONTEXT),
        f"log return over {days} d less the leader's, / (sigma x sqrt(days)); 0 for the leader",
        compute,
        STRENGTH,
        "a relief rally or bull of this symbol's own (above 0) from one that the market carries",
    )


def _pair_moments(bars: Bars, leader: Bars) -> FloatArray:
    """Mean product of one-bar returns, own and leader's mean square, of the bars that have both."""

    def compute() -> FloatArray:
        begin = max(0, bars.size - bars.rows - bars.bars(PAIR_DAYS))
        own, other = bars.log_return[begin:], leader.log_return[begin:]
        there = np.isfinite(own) & np.isfinite(other)
        if not there.all():
            own, other = np.where(there, own, np.nan), np.where(there, other, np.nan)
        products = np.stack((own * other, own * own, other * other))
        return tail_of(bars, "pair", products, PAIR_DAYS, table_mean)

    return bars.keep("pair moments", compute)


def _beside_leader(
    name: str,
    unit: str,
    words: str,
    tells: str,
    of: Callable[[FloatArray, FloatArray, FloatArray], FloatArray],
) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        leader = _leader(bars)
        return missing(bars) if leader is None else of(*_pair_moments(bars, leader))

    inputs = ("close", CONTEXT)
    return Feature(name, GROUP, PAIR_DAYS, unit, inputs, words, compute, BETA, tells)


def beside_leader_features() -> list[Feature]:
    """Declare the features of a symbol beside the leader."""
    return [
        *(_relative_return(days) for days in (7, 30)),
        _beside_leader(
            "leader_beta_30d",
            "ratio",
            "mean product of one-bar log returns and the leader's / mean square of the leader's, 30 d; "
            "1 for the leader",
            "bear (moves more than the leader) from ranging",
            lambda product, _, of_leader: divide(product, of_leader),
        ),
        _beside_leader(
            "leader_correlation_30d",
            "correlation",
            "the same product / root of both mean squares, 30 d, not demeaned; 1 for the leader",
            "bear (all fall together) from a range or rally of the symbol's own",
            lambda product, own, of_leader: divide(product, np.sqrt(own * of_leader)),
        ),
    ]
