"""Values of some features of each group against their formula in words, written out plainly."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from histories import FloatArray, history
from rich_histories import changed, rich_history

from features.catalog import select
from features.history import History
from features.pipeline import feature_matrix

DAY = 24


@cache
def market() -> History:
    """Ends at a UTC midnight; 125 days of hourly bars."""
    made = rich_history(125 * DAY, seed=5)
    assert made.time[-1].hour == 0
    return made


def last_value(name: str, made: History) -> float:
    return float(feature_matrix(made, select([name]))[-1, 0])


def check(expected: dict[str, float], made: History) -> None:
    for name, value in expected.items():
        assert last_value(name, made) == pytest.approx(value, rel=2e-5, abs=2e-6), name


def column(name: str) -> FloatArray:
    return market().column(name)


def sigma(p: FloatArray) -> float:
    squared = np.diff(p) ** 2
    return float(np.sqrt(np.mean([squared[-days * DAY :].mean() * DAY for days in (15, 30, 60, 119)])))


def day_ends(values: FloatArray) -> FloatArray:
    """Value of each UTC day's end, the newest last."""
    return values[::-1][::DAY][::-1]


def hourly(steps: FloatArray, days: int) -> FloatArray:
    """What day-end values look like in the last hours: 1 of the newest, then 24 of each, then 23."""
    return np.concatenate([np.repeat(steps[-days - 1 : -1], DAY)[1:], steps[-1:]])


def test_trend() -> None:
    p, high, low = np.log(column("close")), np.log(column("high")), np.log(column("low"))
    x = np.arange(240.0)
    slope, level = np.polyfit(x, p[-240:], 1)
    noise = ((p[-240:] - slope * x - level) ** 2).sum() / 238 / ((x - x.mean()) ** 2).sum()
    true_range = np.maximum(high[1:], p[:-1]) - np.minimum(low[1:], p[:-1])
    day = p[DAY:] - p[:-DAY]
    highs = [
        [high[t - DAY - k : t - k].max() for k in (0, DAY)] for t in range(len(p) - 10 * DAY + 1, len(p) + 1)
    ]
    expected = {
        "return_4h": (p[-1] - p[-5]) / (sigma(p) * math.sqrt(4 / DAY)),
        "return_20d": (p[-1] - p[-481]) / (sigma(p) * math.sqrt(20)),
        "above_mean_10d": (p[-1] - p[-240:].mean()) / (sigma(p) * math.sqrt(10)),
        "below_high_7d": (p[-1] - high[-168:].max()) / (sigma(p) * math.sqrt(7)),
        "efficiency_3d": (p[-1] - p[-73]) / np.abs(np.diff(p)[-72:]).sum(),
        "rising_bars_5d": (np.diff(p)[-120:] > 0).mean(),
        "trend_line_10d": slope / math.sqrt(noise) / math.sqrt(240),
        "choppiness_5d": math.log(true_range[-120:].sum() / (high[-120:].max() - low[-120:].min()))
        / math.log(120),
        "variance_ratio_3d_in_60d": math.log(
            ((p[72:] - p[:-72])[-1440:] ** 2).mean() / ((np.diff(p)[-1440:] ** 2).mean() * DAY * 3)
        ),
        "autocorrelation_60d": np.corrcoef(day[-1440:], day[-1440 - DAY : -DAY])[0, 1],
        "higher_highs_10d": np.mean([now > before for now, before in highs]),
        "acceleration_3d_after_12d": (p[-1] - p[-73]) / (sigma(p) * math.sqrt(3))
        - (p[-73] - p[-361]) / (sigma(p) * math.sqrt(12)),
    }
    check(expected, market())


def test_exhaustion() -> None:
    p, high, low, opened = (np.log(column(name)) for name in ("close", "high", "low", "open"))
    day = p[-1::-DAY][:-1] - p[-1::-DAY][1:]
    run = next(k for k, move in enumerate(day) if move * day[0] < 0)
    gap = [p[t - 120 : t].mean() - p[t - 480 : t].mean() for t in range(len(p) - 60 * DAY, len(p) + 1)]
    crossed = next((k for k, one in enumerate(gap[::-1]) if one * gap[-1] < 0), 60 * DAY)
    change = p[72:] - p[:-72]
    body = np.maximum(opened, p)
    expected = {
        "high_age_20d": (479 - np.argmax(high[-480:])) / 480,
        "low_age_60d": (1439 - np.argmin(low[-1440:])) / 1440,
        "range_position_20d": (p[-1] - low[-480:].min()) / (high[-480:].max() - low[-480:].min()),
        "bounce_from_10d_low_of_60d_fall": (p[-1] - low[-240:].min())
        / (high[-1440:].max() - low[-240:].min()),
        "run_of_days_10d": math.copysign(min(run, 10), day[0]),
        "cross_age_5d_20d": math.copysign(min(crossed, 60 * DAY), gap[-1]) / (60 * DAY),
        "worst_day_3d": (p[DAY:] - p[:-DAY])[-72:].min() / sigma(p),
        "return_rank_3d_in_90d": (change[-1 - DAY :: -DAY][:90] < change[-1]).mean(),
        "upper_wick_5d": (high - body)[-120:].sum() / (high - low)[-120:].sum(),
    }
    check(expected, market())


def test_volatility() -> None:
    o, h, low, c = (np.log(column(name)) for name in ("open", "high", "low", "close"))
    r = np.diff(c)
    square = r**2
    satchell = (h - c) * (h - o) + (low - c) * (low - o)
    garman = 0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2

    def yang_zhang(n: int) -> float:
        k = 0.34 / (1.34 + (n + 1) / (n - 1))
        jump, body = (o[1:] - c[:-1])[-n:], (c - o)[-n:]
        return float(jump.var(ddof=1) + k * body.var(ddof=1) + (1 - k) * satchell[-n:].mean())

    day = [0.5 * math.log(square[t - DAY : t].mean() * DAY) for t in range(len(r) - 10 * DAY + 1, len(r) + 1)]
    bipower = (np.abs(r[1:]) * np.abs(r[:-1]))[-168:].mean() * math.pi / 2
    expected = {
        "volatility_3d_over_30d": 0.5 * math.log(square[-72:].mean() / square[-720:].mean()),
        "parkinson_1d_over_30d": 0.5
        * math.log(((h - low)[-24:] ** 2).mean() / ((h - low)[-720:] ** 2).mean()),
        "garman_klass_3d_over_30d": 0.5 * math.log(garman[-72:].mean() / garman[-720:].mean()),
        "rogers_satchell_over_close_14d": 0.5 * math.log(satchell[-336:].mean() / square[-336:].mean()),
        "yang_zhang_14d_over_60d": 0.5 * math.log(yang_zhang(336) / yang_zhang(1440)),
        "volatility_of_volatility_10d": np.std(day),
        "jump_share_7d": 1 - bipower / square[-168:].mean(),
        "skew_7d": math.asinh((r[-168:] ** 3).mean() / square[-168:].mean() ** 1.5),
        "tail_weight_7d": math.log((r[-168:] ** 4).mean() / (3 * square[-168:].mean() ** 2)),
        "downside_share_3d": square[-72:][r[-72:] < 0].sum() / square[-72:].sum(),
        "largest_bar_share_7d": square[-168:].max() / square[-168:].sum(),
    }
    check(expected, market())


def test_volume() -> None:
    v, close = column("volume"), column("close")
    p, high, low = np.log(close), np.log(column("high")), np.log(column("low"))
    r = np.diff(p)
    week, change = v[-168:], r[-168:]
    place = (2 * p - high - low) / (high - low)
    thin = np.abs(r) / (v * close)[1:]
    vwap = (v * close)[-168:].sum() / week.sum()
    expected = {
        "volume_1d_over_30d": math.log(v[-24:].mean() / v[-720:].mean()),
        "volume_up_over_down_3d": math.log(v[-72:][r[-72:] > 0].mean() / v[-72:][r[-72:] < 0].mean()),
        "on_balance_volume_3d": (np.sign(r[-72:]) * v[-72:]).sum() / v[-72:].sum(),
        "money_flow_7d": (place[-168:] * week).sum() / week.sum(),
        "price_volume_correlation_7d": np.corrcoef(change, np.log(week))[0, 1],
        "illiquidity_1d_over_30d": math.log(thin[-24:].mean() / thin[-720:].mean()),
        "above_traded_mean_7d": (p[-1] - math.log(vwap)) / (sigma(p) * math.sqrt(7)),
    }
    check(expected, market())


def test_funding_and_its_calendar() -> None:
    p = np.log(column("close"))
    rate = column("funding_rate") * 8 / column("funding_interval_hours")
    month, week, quarter = rate[-720:], rate[-168:], rate[-2160:]
    tail = np.flatnonzero(rate[-721:] > 5e-4)
    other = np.flatnonzero(rate[-721:] * rate[-1] < 0)
    expected = {
        "funding_level_7d": math.asinh(week.mean() / 1e-4),
        "funding_negative_7d": (week < 0).mean(),
        "funding_z_7d_in_90d": math.asinh((week.mean() - quarter.mean()) / quarter.std()),
        "funding_cost_30d": math.asinh(10 * month.mean() * 90 / (sigma(p) * math.sqrt(30))),
        "funding_turn_1d_over_7d": math.asinh(rate[-24:].mean() / 1e-4) - math.asinh(week.mean() / 1e-4),
        "funding_sign_age_30d": math.copysign((720 - other[-1]) / 720, rate[-1]),
        "funding_since_high_tail_30d": (720 - tail[-1]) / 720 if len(tail) else 1.0,
        "funding_lowest_7d": math.asinh(week.min() / 1e-4),
        "funding_spread_7d_over_60d": math.log(week.std() / rate[-1440:].std()),
        "time_to_settlement": 1.0,
        "settlement_interval": 1.0,
        "settlement_interval_change_30d": 1 - np.log2(8 / column("funding_interval_hours")[-720:]).mean(),
    }
    check(expected, market())


def test_hours_to_the_next_settlement_by_hand() -> None:
    made = market()
    four = changed(made, slice(0, len(made)), {"funding_interval_hours": np.full(len(made), 8.0)})
    table = feature_matrix(four, select(["time_to_settlement"]))[-25:, 0]
    hours = [one.hour for one in four.time[-25:]]
    assert table.tolist() == [(8 - hour % 8) / 8 for hour in hours]


def test_open_interest() -> None:
    p = np.log(column("close"))
    interest, price = day_ends(np.log(column("open_interest"))), day_ends(p)
    change, move = np.diff(interest), np.diff(price)
    coins = change - move
    sd = math.sqrt((hourly(change, 60) ** 2).mean())
    money = column("volume") * column("close")
    leverage = interest[-91:] - np.log(
        [money[t + 1 - 168 : t + 1].mean() * DAY for t in range(len(p) - 1 - 90 * DAY, len(p), DAY)]
    )
    expected = {
        "interest_change_7d": (interest[-1] - interest[-8]) / (sd * math.sqrt(7)),
        "interest_below_peak_30d": (interest[-1] - interest[-30:].max()) / (sd * math.sqrt(30)),
        "interest_rank_90d": (interest[-91:-1] < interest[-1]).mean(),
        "new_shorts_7d": hourly(((move < 0) & (coins > 0)).astype(np.float64), 7).mean(),
        "shorts_closing_7d": hourly(((move > 0) & (coins < 0)).astype(np.float64), 7).mean(),
        "interest_to_volume_rank_90d": (leverage[:-1] < leverage[-1]).mean(),
        "interest_flush_7d": hourly(coins, 7).min() / sd,
        "interest_build_up_3d_over_30d": (
            (interest[-1] - interest[-4]) / 3 - (interest[-1] - interest[-31]) / 30
        )
        * math.sqrt(3)
        / sd,
    }
    check(expected, market())


def test_the_quadrants_share_out_all_days() -> None:
    sides = ("new_longs", "new_shorts", "shorts_closing", "longs_closing")
    table = feature_matrix(market(), select([f"{side}_30d" for side in sides]))
    np.testing.assert_allclose(table[-200:].sum(axis=1), 1.0, rtol=1e-5)


def test_positioning_and_sentiment() -> None:
    longs, shorts = day_ends(column("liq_long_usd")), day_ends(column("liq_short_usd"))
    both, ratio = longs + shorts, np.log(day_ends(column("lsr_global")))
    bought, sold = day_ends(column("taker_buy_usd")), day_ends(column("taker_sell_usd"))
    taker = hourly((bought - sold) / (bought + sold), 60)
    greed, puts = column("fear_greed"), np.log(column("put_call"))
    expected = {
        "liquidation_imbalance_1d": hourly(shorts - longs, 1).sum() / hourly(both, 1).sum(),
        "liquidation_burst_3d_over_60d": math.log(hourly(both, 3).mean() / hourly(both, 60).mean()),
        "long_liquidation_rank_60d": (longs[-61:-1] < longs[-1]).mean(),
        "long_short_change_7d": (ratio[-1] - ratio[-8])
        / math.sqrt((hourly(np.diff(ratio), 60) ** 2).mean() * 7),
        "taker_imbalance_z_7d_in_60d": (taker[-168:].mean() - taker.mean()) / taker.std(),
        "fear_greed_level_30d": (greed[-720:].mean() - 50) / 50,
        "fear_greed_change_3d": (greed[-1] - greed[-73]) / 50,
        "fear_greed_extremes_30d": (greed[-720:] > 75).mean() - (greed[-720:] < 25).mean(),
        "put_call_rank_90d": ((puts[-1 - DAY :: -DAY][:90] < puts[-1]).mean()),
        "put_call_change_7d": (puts[-1] - puts[-169]) / puts[-1440:].std(),
    }
    check(expected, market())


def test_a_funding_rate_that_never_moves_is_no_deviation_and_no_blow_up() -> None:
    made = history(125 * DAY)
    n = len(made)
    flat = changed(
        made, slice(0, n), {"funding_rate": np.full(n, 1e-4), "funding_interval_hours": np.full(n, 8.0)}
    )
    check({"funding_z_7d_in_90d": 0.0, "funding_spread_7d_over_60d": 0.0, "funding_sign_age_30d": 1.0}, flat)
