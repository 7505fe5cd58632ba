"""An answer read out in words, for people."""

from __future__ import annotations

from serving.schemas import Answer

__all__ = ["read_out"]


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
    lines.append(
        f"  Bias: {advice.side}, {advice.short_share:.0%} of the directional exposure short, "
        f"leverage {advice.leverage:.1f}x at most (cap {advice.leverage_cap:.0f}x)."
    )
    if answer.degraded:
        lines.append(f"  Degraded: {', '.join(answer.degraded)}.")
    lines.append(f"  {answer.disclaimer}")
    return lines
