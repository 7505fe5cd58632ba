"""Features of sentiment: the fear & greed index, and the puts and calls that traders hold."""

from __future__ import annotations

import numpy as np

from features.bars import Bars, FloatArray, divide, flags, positive_log
from features.declaration import Feature

__all__ = ["sentiment_features"]

GROUP = "sentiment"
INDEX_PAGE = "index page: alternative.me, Crypto fear & greed index"
SENTIMENT = "Baker, Wurgler (2006), Investor sentiment and the cross-section of stock returns"
OPTIONS = "Pan, Poteshman (2006), The information in option volume for future stock prices"
FEAR, GREED = 25.0, 75.0


def _index(bars: Bars) -> FloatArray:
    """Fear & greed from 0 to 100; NaN outside."""

    def compute() -> FloatArray:
        value = bars.column("fear_greed")
        return np.where((value >= 0) & (value <= 100), value, np.nan)

    return bars.keep("fear_greed_index", compute)


def _level(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return (bars.recent_mean("fear_greed_index", _index(bars), days) - 50) / 50

    return Feature(
        f"fear_greed_level_{days}d",
        GROUP,
        days,
        "share",
        ("fear_greed",),
        f"(mean fear & greed over {days} d - 50) / 50: -1 fear, 1 greed; its maker normalises the index",
        compute,
        INDEX_PAGE,
        "bear (fear) from bull (greed); near 0: ranging, or a regime that is turning",
    )


def _rank(over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank("fear_greed_index", _index(bars), over)

    return Feature(
        f"fear_greed_rank_{over}d",
        GROUP,
        over,
        "share",
        ("fear_greed",),
        f"rank of fear & greed among its values at the same hour of the last {over} d",
        compute,
        SENTIMENT,
        "hope within a bear (relief rally: high rank, low level) from despair",
    )


def _change(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.change(_index(bars), days) / 50

    return Feature(
        f"fear_greed_change_{days}d",
        GROUP,
        days,
        "share",
        ("fear_greed",),
        f"change of fear & greed over {days} d / 50",
        compute,
        SENTIMENT,
        "relief rally (fear eases fast) from bear (it deepens) and ranging (it stays)",
    )


def _extremes(days: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        index = _index(bars)
        greedy = flags(index > GREED, index) - flags(index < FEAR, index)
        return bars.recent_mean("fear_greed_extreme", greedy, days, exact=True)

    return Feature(
        f"fear_greed_extremes_{days}d",
        GROUP,
        days,
        "share",
        ("fear_greed",),
        f"share of {days} d with fear & greed above {GREED:g} less the share below {FEAR:g}",
        compute,
        SENTIMENT,
        "deep bear (weeks of extreme fear) from late bull (weeks of extreme greed)",
    )


def _log_put_call(bars: Bars) -> FloatArray:
    return bars.keep("log_put_call", lambda: positive_log(bars.column("put_call")))


def _put_call_rank(over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        return bars.rank("put_call", _log_put_call(bars), over)

    return Feature(
        f"put_call_rank_{over}d",
        GROUP,
        over,
        "share",
        ("put_call",),
        f"rank of the put/call ratio among its values at the same hour of the last {over} d",
        compute,
        OPTIONS,
        "hedged or frightened markets (bear) from careless ones (bull)",
    )


def _put_call_change(days: int, over: int) -> Feature:
    def compute(bars: Bars) -> FloatArray:
        level = _log_put_call(bars)
        return divide(bars.change(level, days), bars.sd("log_put_call", level, over))

    return Feature(
        f"put_call_change_{days}d",
        GROUP,
        over,
        "sd",
        ("put_call",),
        f"log change of the put/call ratio over {days} d / its sd over {over} d",
        compute,
        OPTIONS,
        "protection being bought (bear begins) from protection being let go (relief rally, bull)",
    )


def sentiment_features() -> list[Feature]:
    """Declare the features of sentiment."""
    return [
        *(_level(days) for days in (1, 30)),
        _rank(90),
        *(_change(days) for days in (3, 14)),
        _extremes(30),
        _put_call_rank(90),
        _put_call_change(7, 60),
    ]
