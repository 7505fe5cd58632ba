"""The advice in its variants, and what people do without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import UsageError
from features.regimes import Regime
from serving.margin import tier_for
from training.backtesting.answered import Answered
from training.backtesting.costs import Costs
from training.backtesting.market_state import MarketColumns
from training.backtesting.orders import AT_ONCE, Strategy

__all__ = ["NAMES", "Setting", "chosen", "strategies"]

RISK_PER_TRADE = 0.01
AT_THE_CLOSE = 1e-9
"""A tranche whose price is so near to the close is due with the first one."""
VOLATILITY_TARGET = 0.40
"""A year, of the volatility-targeted account."""
FIXED = {"short_1x": 1.0, "short_5x": 5.0, "short_20x": 20.0, "short_50x": 50.0}
_REGIME_SIDES = {Regime.BEAR: -1, Regime.RELIEF_RALLY: -1, Regime.BULL: 1, Regime.RANGING: 0}

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """What every strategy is made from; arrays of shape (n_bars, n_symbols).

    Attributes
    ----------
    symbols : tuple of str
    answered : Answered
    market : MarketColumns
    rule, jump : ndarray of int
        Regimes of the moving-average rule and of the jump model, -1 where it says none; the second
        may be absent.
    """

    symbols: tuple[str, ...]
    answered: Answered
    market: MarketColumns
    rule: npt.NDArray[np.int64]
    jump: npt.NDArray[np.int64] | None = None


Maker = Callable[[Setting], Strategy]


def _advice(setting: Setting) -> Strategy:
    return replace(
        _planned(setting, by_risk=True),
        name="advice",
        words="The advice as served: side, leverage, tranches, stop, target; 1 % of equity at risk.",
    )


def _advice_without_reserve(setting: Setting) -> Strategy:
    plan = _planned(setting, by_risk=True)
    return replace(
        plan,
        name="advice_without_reserve",
        words="The advice, its last tranche, the reserve, never placed.",
        shares=(*plan.shares[:2], 0.0),
    )


def _advice_flat_in_ranges(setting: Setting) -> Strategy:
    plan = _planned(setting, by_risk=True)
    ranging = setting.answered.regime == Regime.RANGING
    return replace(
        plan,
        name="advice_flat_in_ranges",
        words="The advice, out of the market in ranges instead of trading the mean-reversion band.",
        side=np.where(ranging, 0, plan.side).astype(np.int8),
    )


def _advice_full_size(setting: Setting) -> Strategy:
    return replace(
        _planned(setting, by_risk=False),
        name="advice_full_size",
        words="The advice, 50 to 70 % of the equity its margin instead of what 1 % of risk allows.",
    )


def _advice_no_stop(setting: Setting) -> Strategy:
    plan = _planned(setting, by_risk=False)
    return replace(
        plan,
        name="advice_no_stop",
        words="The same at once and without stop or target: side, share and leverage alone.",
        stop=np.full_like(plan.stop, np.inf),
        target=np.full_like(plan.target, np.inf),
        shares=AT_ONCE,
    )


def _regimes_5x(setting: Setting) -> Strategy:
    answered = setting.answered
    return _strategy(
        "regimes_5x",
        "The same sides and shares at once at a fixed 5x: no squeeze model, no stop, no target.",
        np.where(np.isfinite(answered.short_share), answered.side, 0),
        5.0 * np.nan_to_num(_margin_share(answered)),
        5.0,
    )


def _margin_share(answered: Answered) -> FloatArray:
    """Share of the equity that the net of the advice binds as margin, at full size."""
    share = np.where(answered.side < 0, answered.short_share, 1 - answered.short_share)
    return np.asarray(answered.size_factor * share)


def _planned(setting: Setting, *, by_risk: bool) -> Strategy:
    """The plan of the answer, its prices as log distances from the close that is decided on."""
    answered, close = setting.answered, setting.market.log_close
    side = answered.side
    lever = np.where(side < 0, answered.leverage_short, answered.leverage_long)

    def against(price: FloatArray) -> FloatArray:
        away = -side * (np.log(price) - close)
        return np.asarray(np.where(np.abs(away) < AT_THE_CLOSE, 0.0, away))

    with np.errstate(invalid="ignore", divide="ignore"):
        second, third, stop = (against(one) for one in (answered.second, answered.third, answered.stop))
        target = np.where(np.isnan(answered.target), np.inf, -against(answered.target))
        if by_risk:
            loss = _loss(answered) + 2 * Costs().taker
            notional = answered.size_factor * np.minimum(RISK_PER_TRADE / loss, lever)
        else:
            notional = _margin_share(answered) * lever
        usable = (side != 0) & (stop > 0) & (target > 0)
        usable &= np.isfinite(stop) & np.isfinite(lever) & (lever > 0) & np.isfinite(notional)
    plan = _strategy(
        "",
        "",
        np.where(usable, side, 0),
        notional,
        lever,
        # While an answer is held, price may go past its tranches: they are due then.
        second=np.maximum(second, 0.0),
        third=np.maximum(third, 0.0),
        stop=stop,
        target=target,
    )
    return replace(plan, shares=answered.shares)


def _loss(answered: Answered) -> FloatArray:
    """Loss at the stop with every tranche filled, fraction of the whole notional."""
    loss = np.zeros_like(answered.stop)
    for share, price in zip(answered.shares, (answered.first, answered.second, answered.third), strict=True):
        loss = loss + share * np.abs(answered.stop / price - 1)
    return loss


def _strategy(
    name: str,
    words: str,
    side: npt.NDArray[np.integer],
    notional: FloatArray | float,
    leverage: FloatArray | float,
    *,
    second: FloatArray | float = 0.0,
    third: FloatArray | float = 0.0,
    stop: FloatArray | float = np.inf,
    target: FloatArray | float = np.inf,
    resize: BoolArray | None = None,
    notes: tuple[str, ...] = (),
) -> Strategy:
    shape = side.shape

    def full(value: FloatArray | float, without_side: float) -> FloatArray:
        return np.where(side != 0, np.broadcast_to(np.asarray(value, dtype=np.float64), shape), without_side)

    return Strategy(
        name=name,
        words=words,
        side=side.astype(np.int8),
        notional=full(notional, 0.0),
        leverage=full(leverage, 1.0),
        second=full(second, 0.0),
        third=full(third, 0.0),
        stop=full(stop, np.inf),
        target=full(target, np.inf),
        resize=np.zeros(shape[0], dtype=bool) if resize is None else resize,
        notes=notes,
    )


def _always(name: str, words: str, side: int, share: float, leverage: float) -> Maker:
    def make(setting: Setting) -> Strategy:
        there = np.isfinite(setting.market.mark)
        limits = np.array([tier_for("binance", symbol).max_leverage for symbol in setting.symbols])
        allowed = np.minimum(leverage, limits)
        cut = [
            f"{symbol} at {limit:g}x, the exchange's limit"
            for symbol, limit in zip(setting.symbols, limits, strict=True)
            if limit < leverage
        ]
        wide = np.broadcast_to(allowed, there.shape)
        return _strategy(name, words, np.where(there, side, 0), share * wide, wide, notes=tuple(cut))

    return make


def _volatility_targeted(setting: Setting) -> Strategy:
    market = setting.market
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.minimum(VOLATILITY_TARGET / (market.sigma_day * np.sqrt(365)), 1.0)
    side = np.isfinite(weight) & np.isfinite(market.mark)
    return _strategy(
        "volatility_targeted",
        "Long, sized each Monday so that its volatility is 40 % a year, at most the whole equity, 1x.",
        side.astype(np.int8),
        weight,
        1.0,
        resize=market.week_begins,
    )


def _regime_sides(regime: npt.NDArray[np.int64], there: BoolArray) -> npt.NDArray[np.int8]:
    side = np.zeros(regime.shape, dtype=np.int8)
    for kind, value in _REGIME_SIDES.items():
        side[regime == kind] = value
    return np.where(there, side, 0).astype(np.int8)


def _moving_average_rule(setting: Setting) -> Strategy:
    side = _regime_sides(setting.rule, np.isfinite(setting.market.mark))
    words = (
        "Short in the moving-average rule's bears and relief rallies, long in its bulls, flat in ranges; 1x."
    )
    return _strategy("moving_average_rule", words, side, 1.0, 1.0)


def _signals_5x(setting: Setting) -> Strategy:
    answered = setting.answered
    side = np.where(answered.bearish >= 3, -1, np.where(answered.bullish >= 3, 1, 0))
    words = "5x on the whole equity: short while 3 of the 4 signals are bearish, long while 3 are bullish."
    return _strategy("signals_3_of_4_5x", words, side, 5.0, 5.0)


def _jump_model(setting: Setting) -> Strategy:
    if setting.jump is None:
        raise UsageError("the jump model's signal is not there", field="strategies")
    side = _regime_sides(setting.jump, np.isfinite(setting.market.mark))
    words = "Short in the jump model's bears and relief rallies, long in its bulls; 1x; half-yearly fits."
    return _strategy("jump_model", words, side, 1.0, 1.0)


_MAKERS: Mapping[str, Maker] = {
    "advice": _advice,
    "advice_without_reserve": _advice_without_reserve,
    "advice_flat_in_ranges": _advice_flat_in_ranges,
    "advice_full_size": _advice_full_size,
    "advice_no_stop": _advice_no_stop,
    "regimes_5x": _regimes_5x,
    "buy_and_hold": _always("buy_and_hold", "Long with the whole equity, never touched.", 1, 1.0, 1.0),
    "short_60_percent_1x": _always(
        "short_60_percent_1x", "60 % of the equity short at 1x, never touched.", -1, 0.6, 1.0
    ),
    **{
        name: _always(
            name, f"Short with the whole equity at {leverage:g}x, never touched.", -1, 1.0, leverage
        )
        for name, leverage in FIXED.items()
    },
    "volatility_targeted": _volatility_targeted,
    "moving_average_rule": _moving_average_rule,
    "signals_3_of_4_5x": _signals_5x,
    "jump_model": _jump_model,
}
NAMES = tuple(_MAKERS)
"""Every strategy, in the order of the tables."""


def chosen(text: str | None) -> tuple[str, ...]:
    """Strategies from a comma-separated option; all by default.

    Raises
    ------
    UsageError
        For a name that is none, or one given twice.
    """
    if text is None:
        return NAMES
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in _MAKERS:
            raise UsageError(
                f"{name[:60]!r} is no strategy",
                field="strategies",
                hint=f"expected any of {', '.join(NAMES)}",
            )
    if not names or len(set(names)) != len(names):
        raise UsageError("--strategies names none, or one twice", field="strategies")
    return tuple(name for name in NAMES if name in names)


def strategies(setting: Setting, names: Sequence[str]) -> list[Strategy]:
    """Make the named strategies."""
    return [_MAKERS[name](setting) for name in names]
