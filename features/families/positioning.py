"""Features of positioning: forced closings, the ratio of longs to shorts, and who takes the offer.

Values are those of the latest UTC day's end, so that daily and 5-minute sources agree. Levels
depend on the venue and on how it reports: only shares, ranks and deviations are used.
"""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, log_ratio, positive_log
from features.declaration import Feature
from features.families.open_interest import log_interest
from features.rolling.windows import lag

__all__ = ["positioning_features"]

GROUP = "positioning"
SCALE_DAYS = 60
LIQUIDATIONS = "Brunnermeier, Pedersen (2009), Market liquidity and funding liquidity"
RATIOS = "exchange page: Binance, long/short ratio of accounts and positions"
TAKERS = "Chordia, Roll, Subrahmanyam (2002), Order imbalance, liquidity, and market returns"
_LIQUIDATED = ("liq_long_usd", "liq_short_usd")
_TAKEN = ("taker_buy_usd", "taker_sell_usd")
_RATIO_NAMES = {
    "lsr_global": ("long_short", "all accounts", "the crowd"),
    "lsr_top_accounts": ("top_accounts", "the largest accounts", "large traders"),
    "lsr_top_positions": ("top_positions", "the largest accounts' positions", "large money"),
}


def _daily(bars: Bars, column: str) -> FloatArray:
    """A column at the latest UTC day's end."""
    return bars.keep(("day_end", column), lambda: bars.day_end(bars.column(column)))


def _log_daily(bars: Bars, column: str) -> FloatArray:
    return bars.keep(("log_day_end", column), lambda: positive_log(_daily(bars, column)))


def _liquidated(bars: Bars) -> FloatArray:
    """Liquidations of both sides, USD a day."""
    return bars.keep("liquidated", lambda: _daily(bars, "liq_long_usd") + _daily(bars, "liq_short_usd"))


def _liquidation_imbalance(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        difference = bars.keep(
            "liquidation_difference", lambda: _daily(bars, "liq_short_usd") - _daily(bars, "liq_long_usd")
        )
        return divide(
            bars.recent_mean("liquidation_difference", difference, days),
            bars.recent_mean("liquidated", _liquidated(bars), days),
        )

    return Feature(
        f"liquidation_imbalance_{days}d",
        GROUP,
        days + 1,
        "share",
        _LIQUIDATED,
        f"(liquidated shorts - liquidated longs) / both, USD of {days} d",
        compute,
        LIQUIDATIONS,
        "squeezed shorts (relief rally, bull: above 0) from flushed longs (bear: below 0)",
    )


def _side_rank(column: str, over: int) -> Feature:
    side = "long" if column == "liq_long_usd" else "short"

    def compute(bars: Bars) -> FloatArray:
        return bars.rank_of_day_ends(column, _daily(bars, column), over)

    return Feature(
        f"{side}_liquidation_rank_{over}d",
        GROUP,
        over + 1,
        "share",
        (column,),
        f"rank of the day's liquidated {side}s (USD) among the last {over} days",
        compute,
        LIQUIDATIONS,
        "a bear's capitulation from its quiet stretch"
        if side == "long"
        else "a squeeze (relief rally) from calm",
    )


def _liquidation_burst(fast: int, slow: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        both = _liquidated(bars)
        return log_ratio(
            bars.recent_mean("liquidated", both, fast), bars.recent_mean("liquidated", both, slow)
        )

    return Feature(
        f"liquidation_burst_{fast}d_over_{slow}d",
        GROUP,
        slow + 1,
        "log ratio",
        _LIQUIDATED,
        f"log of liquidations (both sides, USD) over {fast} d / over {slow} d",
        compute,
        LIQUIDATIONS,
        "cascades (panic, squeeze) from calm markets (ranging)",
    )


def _liquidated_share_rank(over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        share = positive_log(_liquidated(bars)) - log_interest(bars)
        return bars.rank_of_day_ends("liquidated_share", share, over)

    return Feature(
        f"liquidation_to_interest_rank_{over}d",
        GROUP,
        over + 1,
        "share",
        (*_LIQUIDATED, "open_interest"),
        f"rank of the day's liquidations / open interest among the last {over} days",
        compute,
        LIQUIDATIONS,
        "the end of a bear's leg or of a squeeze (leverage forced out) from ranging (it leaves by itself)",
    )


def _ratio_change(column: str, days: int) -> Feature:
    name, who, short = _RATIO_NAMES[column]

    def compute(bars: Bars) -> FloatArray:
        level = _log_daily(bars, column)
        key = f"{column}_change_squared"
        square = bars.keep(key, lambda: (level - lag(level, bars.per_day)) ** 2)
        spread = np.sqrt(bars.recent_mean(key, square, SCALE_DAYS))
        return divide(bars.change(level, days), spread * np.sqrt(days))

    return Feature(
        f"{name}_change_{days}d",
        GROUP,
        SCALE_DAYS + 2,
        "sd",
        (column,),
        f"log change of the long/short ratio of {who} over {days} d / (its daily sd over 60 d x sqrt(days))",
        compute,
        RATIOS,
        f"{short} buying the fall (bear goes on) from {short} giving up (relief rally, range)",
    )


def _ratio_rank(column: str, over: int) -> Feature:
    name, who, short = _RATIO_NAMES[column]

    def compute(bars: Bars) -> FloatArray:
        return bars.rank_of_day_ends(column, _daily(bars, column), over)

    return Feature(
        f"{name}_rank_{over}d",
        GROUP,
        over + 1,
        "share",
        (column,),
        f"rank of the long/short ratio of {who} among the last {over} days",
        compute,
        RATIOS,
        f"{short} crowded long (bear: many to liquidate) from {short} crowded short (relief rally)",
    )


def _top_against_crowd(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        gap = _log_daily(bars, "lsr_top_positions") - _log_daily(bars, "lsr_global")
        return bars.zscore("top_against_crowd", gap, days, over)

    return Feature(
        f"top_against_crowd_z_{days}d_in_{over}d",
        GROUP,
        over + 1,
        "sd",
        ("lsr_top_positions", "lsr_global"),
        f"mean log of the top positions' long/short ratio / all accounts' over {days} d against {over} d, "
        f"in its sd over {over} d",
        compute,
        RATIOS,
        "bear and bull (large money and the crowd on one side) from turns (large money against the crowd)",
    )


def _taker_imbalance(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        bought, sold = _daily(bars, "taker_buy_usd"), _daily(bars, "taker_sell_usd")
        share = bars.keep("taker_imbalance", lambda: divide(bought - sold, bought + sold))
        return bars.zscore("taker_imbalance", share, days, over)

    return Feature(
        f"taker_imbalance_z_{days}d_in_{over}d",
        GROUP,
        over + 1,
        "sd",
        _TAKEN,
        f"mean of (taker buys - taker sells) / both over {days} d against {over} d, in its daily sd",
        compute,
        TAKERS,
        "falls that are sold into (bear) from rises that are bought (relief rally, bull)",
    )


def _taker_ratio(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.zscore("log_taker_ratio", _log_daily(bars, "taker_ratio"), days, over)

    return Feature(
        f"taker_ratio_z_{days}d_in_{over}d",
        GROUP,
        over + 1,
        "sd",
        ("taker_ratio",),
        f"mean log of taker buys / sells at day ends over {days} d against {over} d, in its sd over {over} d",
        compute,
        TAKERS,
        "aggressive sellers (bear) from aggressive buyers (relief rally, bull)",
    )


def _inflow(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.zscore("exchange_inflow", _daily(bars, "exchange_inflow"), days, over)

    return Feature(
        f"exchange_inflow_z_{days}d_in_{over}d",
        GROUP,
        over + 1,
        "sd",
        ("exchange_inflow",),
        f"mean net flow to exchanges over {days} d against {over} d, in its sd over {over} d",
        compute,
        "trader practice: coins move to exchanges to be sold",
        "coins brought to be sold (bear) from coins taken away (bull, range)",
    )


def positioning_features() -> list[Feature]:
    """Declare the features of positioning."""
    return [
        *(_liquidation_imbalance(days) for days in (1, 7)),
        *(_side_rank(column, 60) for column in _LIQUIDATED),
        _liquidation_burst(3, 60),
        _liquidated_share_rank(90),
        *(_ratio_change("lsr_global", days) for days in (1, 7)),
        _ratio_rank("lsr_global", 90),
        _ratio_change("lsr_top_accounts", 7),
        _ratio_rank("lsr_top_accounts", 60),
        _ratio_change("lsr_top_positions", 7),
        _ratio_rank("lsr_top_positions", 60),
        _top_against_crowd(3, 60),
        *(_taker_imbalance(days, 60) for days in (1, 7)),
        _taker_ratio(3, 60),
        _inflow(3, 60),
    ]
