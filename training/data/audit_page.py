"""An audit as one HTML page that needs nothing else: no network, no script.

The picture of coverage is inline SVG made by the template: a lane for each table, one rectangle for
each run of weeks with the same share. A chart library would bring megabytes of JavaScript to every
page for what is a row of rectangles; without script the page opens at once with hundreds of symbols,
prints, and its content security policy can forbid everything else that a hostile name might try.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from features.audit import CHECKS, LEDGER_KINDS, SEVERITIES, Agreement, Audit, Coverage, Finding
from training.data.audit_lanes import SHADES, Axis, Lane, axis_of, lanes_of, overview_lane

__all__ = [
    "AuditedStore",
    "KindOfFindings",
    "by_kind",
    "covered_share",
    "render_page",
    "share_in_words",
    "span_in_words",
    "write_page",
]

SHOWN = 25
"""Findings of one kind and symbol that the page lists at least; the JSON file has all."""
SHOWN_IN_ALL = 2_000
"""Of one kind over all symbols: with few symbols each may list more."""

_OPEN_BELOW = 4
_STANDARD = ("bars", "funding", "open_interest", "positioning", "fear_greed")


@dataclass(frozen=True)
class AuditedStore:
    """What an audit of a store found.

    Attributes
    ----------
    where : str
        The store.
    interval : str
    now : pandas.Timestamp
    against : str or None
        What it was compared with.
    audits : tuple of Audit
    files : mapping of str to mapping of str to int
        Symbol to the files of its source by status.
    failed : mapping of str to str
        Symbol that could not be read, and why.
    """

    where: str
    interval: str
    now: pd.Timestamp
    against: str | None
    audits: tuple[Audit, ...]
    files: Mapping[str, Mapping[str, int]]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class KindOfFindings:
    """Findings of one kind and origin.

    Attributes
    ----------
    kind, origin : str
    findings : list of (symbol, Finding)
    """

    kind: str
    origin: str
    findings: list[tuple[str, Finding]]

    @property
    def symbols(self) -> int:
        """Symbols that have one."""
        return len({symbol for symbol, _ in self.findings})

    @property
    def rows(self) -> int:
        """Rows touched in all."""
        return sum(one.count for _, one in self.findings)

    @property
    def worst(self) -> tuple[str, Finding]:
        """The gravest of them, by severity, then by its value, then by its rows."""
        return min(
            self.findings,
            key=lambda pair: (SEVERITIES.index(pair[1].severity), -abs(pair[1].worst or 0), -pair[1].count),
        )

    @property
    def meaning(self) -> str:
        """What the kind means."""
        if self.origin == "ledger":
            known = LEDGER_KINDS.get(self.kind)
            return "" if known is None else known.meaning
        return CHECKS[self.kind].rule if self.kind in CHECKS else ""


def by_kind(audits: Iterable[Audit]) -> list[KindOfFindings]:
    """Findings by kind and origin, the gravest kinds first."""
    groups: dict[tuple[str, str], KindOfFindings] = {}
    for audit in audits:
        for one in audit.findings:
            key = (one.origin, one.kind)
            groups.setdefault(key, KindOfFindings(one.kind, one.origin, [])).findings.append(
                (audit.symbol, one)
            )
    order = {name: place for place, name in enumerate(CHECKS)}
    return sorted(
        groups.values(),
        key=lambda group: (
            SEVERITIES.index(group.worst[1].severity),
            group.origin,
            order.get(group.kind, len(order)),
            group.kind,
        ),
    )


def covered_share(audit: Audit, name: str) -> float:
    """Smallest share among the columns of a table; ``signals`` for all that have no table of their own."""
    shares = [
        one.share
        for one in audit.coverage
        if (one.table.partition(":")[0] == name)
        or (name == "signals" and one.table.partition(":")[0] not in _STANDARD)
    ]
    known = [share for share in shares if not math.isnan(share)]
    return min(known, default=math.nan)


def share_in_words(share: float) -> str:
    """A share in percent, rounded down: 100 % means that nothing is missing.

    Examples
    --------
    >>> share_in_words(1.0), share_in_words(0.99999), share_in_words(float("nan"))
    ('100 %', '99.99 %', '-')
    """
    if math.isnan(share):
        return "-"
    return "100 %" if share >= 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


def span_in_words(one: Finding) -> str:
    """First and last moment of a finding; one of them where they are the same."""
    if one.start is None or one.end is None:
        return ""
    start, end = (f"{time:%Y-%m-%d %H:%M}" for time in (one.start, one.end))
    if start == end:
        return start
    return f"{start} to {end[11:] if start[:10] == end[:10] else end}"


def write_page(path: Path, held: AuditedStore) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = render_page(held)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    finally:
        with suppress(OSError):
            staging.unlink()


def render_page(held: AuditedStore) -> str:
    """The page as text; every text of the data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": share_in_words, "span": span_in_words, "day": _day, "age": _age}
    axis = axis_of(held.audits)
    symbols = [_symbol(audit, held.files.get(audit.symbol, {}), axis) for audit in held.audits]
    totals = {severity: sum(one["counts"][severity] for one in symbols) for severity in SEVERITIES}
    return environment.get_template("audit.html").render(
        held=held,
        axis=axis,
        symbols=symbols,
        totals=totals,
        kinds=by_kind(held.audits),
        checks=CHECKS.values(),
        ledger_kinds=LEDGER_KINDS,
        severities=SEVERITIES,
        shades=SHADES,
        shown=max(SHOWN, SHOWN_IN_ALL // max(len(symbols), 1)),
        unfold=len(symbols) < _OPEN_BELOW,
    )


def _symbol(audit: Audit, files: Mapping[str, int], axis: Axis) -> dict[str, Any]:
    """What the template shows of one symbol."""
    coverage: Sequence[Coverage] = audit.coverage
    lanes: list[Lane] = lanes_of(audit, axis)
    agreement: Sequence[Agreement] = audit.agreement
    return {
        "name": audit.symbol,
        "source": audit.source,
        "counts": audit.counts(),
        "bars": coverage[0],
        "coverage": coverage,
        "overview": overview_lane(audit, axis),
        "lanes": lanes,
        "kinds": by_kind([audit]),
        "files": {status: files[status] for status in ("read", "missing", "refused") if status in files},
        "against": audit.against,
        "agreement": agreement,
        "shares": {name: covered_share(audit, name) for name in ("bars", "funding", "open_interest")},
    }


def _day(time: pd.Timestamp | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def _age(hours: float | None) -> str:
    if hours is None:
        return ""
    return f"{hours:,.0f} h" if hours < 72 else f"{hours / 24:,.0f} days"
