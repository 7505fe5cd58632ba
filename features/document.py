"""The job ``features.document``: the catalogue as a page, ``docs/features.md``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from features.catalog import CATALOG
from features.command_line import run
from features.declaration import GROUPS, Feature
from features.default_set import DEFAULT_FEATURES
from features.errors import DataError
from features.signals import SIGNALS

__all__ = ["catalogue_page", "main"]

PAGE = Path("docs") / "features.md"
_HEAD = """\
# Features

Made from the catalogue by `python -m features.document`; do not edit by hand.

{count} features in {groups} groups. Row `t` uses bars up to the close of bar `t` and none older than its
look-back (days before the bar, with the bar itself beside them); a window of exactly the look-back gives the
same bits as the whole history. **{chosen}** of them are in the model's default set and marked \\*; the others
wait for evidence that they add something.

- **sigma** is the volatility of one day: the root of the mean of the 15-, 30-, 60- and 119-day mean squared
  one-bar log returns, times the bars of a day. **sd** as a unit counts in standard deviations of the thing's
  own movement.
- A **rank** is the share of its earlier values, one a day at the same hour, that the current value exceeds;
  ties count half.
- A mean needs 95 % of its bars, a rank 90 % of its days; otherwise, and where an input is missing, the value
  is NaN.
- Funding rates are compared per 8 hours, whatever the contract's interval. Open interest and positioning are
  those of the latest UTC day's end, so that daily and 5-minute sources agree.
"""


def catalogue_page() -> str:
    """Write the page: the features by group, then the signals."""
    parts = [_HEAD.format(count=len(CATALOG), groups=len(GROUPS), chosen=len(DEFAULT_FEATURES))]
    for group, words in GROUPS.items():
        members = [feature for feature in CATALOG if feature.group == group]
        parts.append(f"## {group.replace('_', ' ').capitalize()}\n\n{words}: {len(members)} features.\n")
        families = groupby(members, key=lambda feature: (feature.tells, feature.source, feature.inputs))
        parts += [_family(list(family)) for _, family in families]
    parts.append(_signals())
    return "\n".join(parts)


def _family(members: list[Feature]) -> str:
    """Features that tell the same, from one source and the same columns."""
    first = members[0]
    reads = ", ".join(f"`{name}`" for name in first.inputs)
    head = (
        f"Tells apart: {first.tells}.  \n*{first.source}.* Reads {reads}.\n\n"
        "| feature | formula | unit | look-back |\n|---|---|---|---|\n"
    )
    return head + "".join(_row(feature) for feature in members)


def _row(feature: Feature) -> str:
    mark = " \\*" if feature.name in DEFAULT_FEATURES else ""
    cells = [f"`{feature.name}`{mark}", feature.words, feature.unit, f"{feature.lookback_days:g} d"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _signals() -> str:
    lines = [
        "## Signals\n",
        "Read off the same bars: bearish, bullish, neutral or missing; served with every answer.\n",
        "| signal | rule | look-back | inputs |\n|---|---|---|---|",
    ]
    for signal in SIGNALS:
        inputs = ", ".join(f"`{name}`" for name in signal.inputs)
        lines.append(f"| `{signal.name}` | {signal.words} | {signal.lookback_days:g} d | {inputs} |")
    return "\n".join(lines) + "\n"


def main(
    out: Annotated[Path, typer.Option(help="The page to write.")] = PAGE,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is up to date.")] = False,
) -> None:
    """Write the catalogue of features as a page."""
    page = catalogue_page()
    if check:
        if not out.is_file() or out.read_text(encoding="utf-8") != page:
            raise DataError(
                f"{out} is not what the catalogue says",
                code="stale_page",
                hint="write it again: python -m features.document",
            )
        typer.echo(f"{out}: up to date")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    typer.echo(f"{out}: {len(CATALOG)} features, {len(SIGNALS)} signals")


if __name__ == "__main__":
    run(lambda: typer.run(main))
