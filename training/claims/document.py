"""The claims as a document: what holds, and every number that says so."""

from __future__ import annotations

from collections.abc import Sequence

from training.claims.claim import Checked
from training.claims.evidence import Evidence

__all__ = ["document"]

HEAD = """# What traders say, held against history

Written by `{command}`; every number below is one it measured. Information, not financial advice.

{span}

- **Online** is the regime that the walk-forward model answered at that hour, out of sample: what a trader
  could have acted on. **Hindsight** is the label that has seen the future; it decides nothing here but where
  a claim is about what the market was, and each such row says so.
- Positions of {notional:,.0f} in quote currency by {exchange}'s tiers, liquidated by the highs and lows of
  hourly bars, fees and funding at its real settlements in, no stop, nothing added to the margin
  ([survival](survival.md)).
- Intervals are of 95 %, by drawing blocks of four calendar weeks with all symbols in them: neighbouring
  hours, weeks and symbols tell one story. The weeks beside each number are the size of the evidence, not
  the entries.
- What makes a verdict is written as its rule. Where nothing is behind a claim, chance alone makes its
  interval miss the mark about once in twenty times.

| claim | verdict | deciding number |
|---|---|---|
"""


def document(evidence: Evidence, found: Sequence[Checked], command: str) -> str:
    """Markdown of all claims.

    Parameters
    ----------
    evidence : Evidence
    found : sequence of Checked
    command : str
        That made it, as a reader can run it.
    """
    spans = []
    for market in evidence.markets:
        time = market.prices.time
        answered = int((market.online >= 0).sum())
        spans.append(
            f"{market.prices.symbol} {time[0]:%Y-%m-%d} to {time[-1]:%Y-%m-%d} ({answered:,} bars answered "
            "online)"
        )
    rules = evidence.markets[0].outcomes.rules
    parts = [
        HEAD.format(
            command=command,
            span=f"History: {'; '.join(spans)}.",
            notional=rules.notional,
            exchange=rules.exchange.capitalize(),
        )
    ]
    parts += [
        f"| [{one.folklore}](#{one.name}) | **{one.verdict}** | {one.measures[0].name}: "
        f"{one.measures[0].words()} |\n"
        for one in found
    ]
    parts += [_section(one) for one in found]
    return "".join(parts)


def _section(one: Checked) -> str:
    rows = "".join(
        f"| {measure.name} | {measure.words()} | {measure.entries:,} | {measure.weeks} |\n"
        for measure in one.measures
    )
    return (
        f'\n<a id="{one.name}"></a>\n## {one.folklore}\n\n**{one.verdict.capitalize()}.** {one.because}\n\n'
        f"- How: {one.how}\n- Rule: {one.rule}\n\n"
        f"| measured | 95 % | entries | weeks |\n|---|---|---|---|\n{rows}"
    )
