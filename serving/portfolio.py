"""Several symbols at once: what their advice adds up to, and how much of it one account should carry.

Coins fall and rise together, so positions of one risk each are not independent bets. The risk of
the whole is ``sqrt(sum over i, j of r_i r_j s_i s_j c_ij)``: ``r`` the money each loses at its stop,
``s`` +1 long and -1 short, ``c`` the correlation of daily returns. A correlation that is not known
counts against the account: 1 between positions of one side, 0 between opposite ones. Everything is
scaled down by one factor until the caps on the whole hold. Nothing is ever scaled up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, sqrt
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from features.errors import DataError
from serving.schemas import Advice, Tranche

__all__ = ["Holding", "Portfolio", "PortfolioCaps", "portfolio_of"]

_ROUNDING = 1e-9


class PortfolioCaps(BaseModel):
    """Limits on the whole account.

    Attributes
    ----------
    risk : float
        Share of the equity that may be lost if everything is stopped, correlations counted.
    gross : float
        Notional of all positions, both sides added, over the equity.
    margin : float
        Share of the equity that may be bound as margin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    risk: float = Field(0.04, gt=0, le=0.10)
    gross: float = Field(3.0, gt=0, le=5)
    margin: float = Field(0.5, gt=0, le=1)


class Holding(BaseModel):
    """One symbol's part, quote currency."""

    model_config = ConfigDict(frozen=True)

    symbol: str
    side: Literal["short", "long"]
    wanted: float = Field(description="notional of its own advice")
    notional: float = Field(description="after the caps on the whole")
    margin: float
    leverage: float
    risk: float = Field(description="lost at its stop, everything filled")
    stop_price: float | None
    target_price: float | None
    tranches: list[Tranche] = Field(description="of its own advice, sizes after the caps on the whole")


class Portfolio(BaseModel):
    """The whole: net and gross exposure, and the caps that bind."""

    model_config = ConfigDict(frozen=True)

    holdings: list[Holding]
    aside: dict[str, str] = Field(description="symbols without a position, and why")
    factor: float = Field(description="what everything was scaled by, at most 1")
    bound_by: str | None = Field(description="risk, gross or margin; null where no cap binds")
    gross: float
    net: float = Field(description="long less short, quote currency")
    short_share: float | None = Field(description="short part of the gross; null without positions")
    margin: float
    risk: float = Field(description="of the whole if everything is stopped, correlations counted")
    independent_bets: float | None = Field(
        description="(sum of risks)^2 over the squared risk of the whole: 1 for positions that move as one"
    )
    assumed_correlations: list[str] = Field(description="pairs whose correlation is not known")


def _checked(equity: float, correlations: Mapping[tuple[str, str], float]) -> None:
    if not (isfinite(equity) and equity > 0):
        raise DataError(f"equity is {equity}, expected a positive amount", code="bad_equity", field="equity")
    for pair, value in correlations.items():
        if not -1 <= value <= 1:
            raise DataError(
                f"correlation of {pair[0]} and {pair[1]} is {value}, expected -1 to 1",
                code="bad_correlation",
                field="correlations",
            )


def _taken(advices: Mapping[str, Advice]) -> tuple[list[Holding], dict[str, str]]:
    """Positions that the advice has sizes for, and why the others have none."""
    holdings, aside = [], {}
    for symbol, advice in sorted(advices.items()):
        if advice.side == "flat" or advice.notional is None or advice.margin is None:
            reason = advice.withheld.get("notional", "no_size")
            if reason == "no_account":
                raise DataError(
                    f"the advice for {symbol} has no size",
                    code="no_account",
                    field=symbol,
                    hint="ask with account.equity, the same for every symbol",
                )
            aside[symbol] = reason
            continue
        loss = next(step.value for step in advice.calculation if step.name == "loss_at_stop")
        holdings.append(
            Holding(
                symbol=symbol,
                side=advice.side,
                wanted=advice.notional,
                notional=advice.notional,
                margin=advice.margin,
                leverage=advice.leverage,
                risk=advice.notional * loss,
                stop_price=advice.stop_price,
                target_price=advice.target_price,
                tranches=advice.tranches,
            )
        )
    return holdings, aside


def _joint_risk(
    holdings: list[Holding], correlations: Mapping[tuple[str, str], float]
) -> tuple[float, list[str]]:
    total, assumed = 0.0, []
    for number, one in enumerate(holdings):
        total += one.risk**2
        for other in holdings[number + 1 :]:
            pair, turned = (one.symbol, other.symbol), (other.symbol, one.symbol)
            same = one.side == other.side
            known = correlations.get(pair, correlations.get(turned))
            if known is None:
                assumed.append(f"{one.symbol}/{other.symbol}")
                known = 1.0 if same else 0.0
            total += 2 * one.risk * other.risk * (known if same else -known)
    return sqrt(max(0.0, total)), assumed


def _scaled(holding: Holding, factor: float) -> Holding:
    def part(value: float | None) -> float | None:
        return None if value is None else value * factor

    tranches = [
        one.model_copy(update={"notional": part(one.notional), "quantity": part(one.quantity)})
        for one in holding.tranches
    ]
    return holding.model_copy(
        update={
            "notional": holding.wanted * factor,
            "margin": holding.margin * factor,
            "risk": holding.risk * factor,
            "tranches": tranches,
        }
    )


def portfolio_of(
    advices: Mapping[str, Advice],
    equity: float,
    correlations: Mapping[tuple[str, str], float] | None = None,
    caps: PortfolioCaps | None = None,
) -> Portfolio:
    """Add the advice of several symbols up and hold the whole below its caps.

    Parameters
    ----------
    advices : mapping of str to Advice
        By symbol, each asked for with an account of the same ``equity``.
    equity : float
        Quote currency.
    correlations : mapping of (str, str) to float, optional
        As from :func:`serving.correlations.correlations_of`, either order.
    caps : PortfolioCaps, optional

    Raises
    ------
    DataError
        For an equity or a correlation that cannot be, or advice that was asked for without an account.
    """
    correlations = correlations or {}
    caps = caps or PortfolioCaps()
    _checked(equity, correlations)
    holdings, aside = _taken(advices)
    risk, assumed = _joint_risk(holdings, correlations)
    gross = sum(one.wanted for one in holdings)
    margin = sum(one.margin for one in holdings)
    used = {
        "risk": risk / (caps.risk * equity),
        "gross": gross / (caps.gross * equity),
        "margin": margin / (caps.margin * equity),
    }
    tightest = max(used, key=lambda name: used[name])
    factor = 1 / used[tightest] if used[tightest] > 1 + _ROUNDING else 1.0
    scaled = [_scaled(one, factor) for one in holdings]
    short = sum(one.notional for one in scaled if one.side == "short")
    added = sum(one.risk for one in holdings)
    return Portfolio(
        holdings=scaled,
        aside=aside,
        factor=factor,
        bound_by=tightest if factor < 1 else None,
        gross=gross * factor,
        net=gross * factor - 2 * short,
        short_share=short / (gross * factor) if gross else None,
        margin=margin * factor,
        risk=risk * factor,
        independent_bets=(added / risk) ** 2 if risk > 0 else None,
        assumed_correlations=assumed,
    )
