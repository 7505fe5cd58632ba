"""Answers read out in words, for people: one, and what several add up to."""

from __future__ import annotations

from serving.portfolio import Portfolio
from serving.schemas import Answer

__all__ = ["portfolio_read_out", "read_out"]


def read_out(answer: Answer) -> list[str]:
    """Lines that say what the answer says.

    The reasons are the answer's own; only the first and the last lines are added.
    """
    advice = answer.advice
    held = "at least since" if answer.since_at_least else "since"
    lines = [
        f"{answer.symbol} at {answer.as_of:%Y-%m-%d %H:%M} UTC: {answer.regime.replace('_', ' ')}, "
        f"{held} {answer.since:%Y-%m-%d %H:%M}, valid until {answer.valid_until:%Y-%m-%d %H:%M}.",
    ]
    lines += [f"  {reason}" for reason in answer.reasons]
    share = f"{advice.short_share:.0%} of the directional exposure short"
    if advice.side == "flat":
        lines.append("  Bias: flat, no position.")
    elif advice.leverage == 0:
        lines.append(f"  Bias: {advice.side}, {share}, but stand aside: no leverage is advised.")
    else:
        lines.append(
            f"  Bias: {advice.side}, {share}, leverage {advice.leverage:.1f}x at most "
            f"(cap {advice.leverage_cap:.0f}x)."
        )
    if answer.degraded:
        lines.append(f"  Degraded: {', '.join(answer.degraded)}.")
    lines.append(f"  {answer.disclaimer}")
    return lines


def portfolio_read_out(portfolio: Portfolio, equity: float) -> list[str]:
    """Lines that say what the advice of several symbols adds up to.

    Parameters
    ----------
    portfolio : Portfolio
    equity : float
        Quote currency.
    """
    if not portfolio.holdings:
        return ["All together: no position.", *_aside(portfolio)]
    long, short = ((portfolio.gross + sign * portfolio.net) / 2 for sign in (1, -1))
    lean = f"{abs(portfolio.net):,.2f} net {'long' if portfolio.net > 0 else 'short'}"
    lines = [
        f"All together: {portfolio.gross:,.2f} of positions ({portfolio.gross / equity:.2f} times the "
        f"equity), {long:,.2f} long and {short:,.2f} short: {lean if portfolio.net else 'even'}.",
        f"  If every stop is hit it loses about {portfolio.risk:,.2f} ({portfolio.risk / equity:.1%} of the "
        f"equity), counting how the symbols moved together; its margin is {portfolio.margin:,.2f}.",
    ]
    if portfolio.independent_bets is not None:
        lines.append(
            f"  {len(portfolio.holdings)} positions that amount to {portfolio.independent_bets:.1f} "
            "independent bets."
        )
    if portfolio.bound_by is not None:
        lines.append(
            f"  Every size is cut to {portfolio.factor:.0%} of its own advice: the cap on the whole "
            f"account's {portfolio.bound_by} binds."
        )
    for one in portfolio.holdings:
        lines.append(
            f"  {one.symbol} {one.side}: {one.notional:,.2f} at {one.leverage:.1f}x, "
            f"margin {one.margin:,.2f}, loses {one.risk:,.2f} at its stop."
        )
    if portfolio.assumed_correlations:
        pairs = ", ".join(portfolio.assumed_correlations)
        lines.append(f"  Not known how they move together, so taken as one market: {pairs}.")
    return [*lines, *_aside(portfolio)]


def _aside(portfolio: Portfolio) -> list[str]:
    words = {"flat": "no side", "stand_aside": "too risky at any leverage"}
    return [
        f"  {name}: no position ({words.get(reason, reason.replace('_', ' '))})."
        for name, reason in portfolio.aside.items()
    ]
