"""An audit in the terminal: coverage of every symbol, and the findings by kind."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.audit import SEVERITIES, Agreement, Audit, Finding, Severity
from training.data.audit_page import AuditedStore, by_kind, covered_share, share_in_words, span_in_words

__all__ = ["print_audits"]

SYMBOLS_SHOWN = 40
FINDINGS_SHOWN = 15
_WIDTH = 118
_COLUMNS = {
    "bars": "bars",
    "funding": "funding",
    "open_interest": "open interest",
    "positioning": "positioning",
    "fear_greed": "fear & greed",
}
_COLOURS: dict[Severity, str] = {"error": "red", "warning": "yellow", "note": "dim"}


def print_audits(held: AuditedStore, console: Console | None = None) -> None:
    """Print an audit to stdout; texts of the data are shown as they are, never as markup."""
    console = console or Console(width=_WIDTH)
    console.print(_coverage(held))
    _more(console, len(held.audits) - SYMBOLS_SHOWN, "symbols")
    if held.against is not None:
        _print_agreement(console, held)
    findings = [(one.symbol, finding) for one in held.audits for finding in one.findings]
    if not findings:
        console.print("nothing found")
        return
    console.print(_kinds(held))
    worst = _varied(findings)
    console.print(_findings(worst[:FINDINGS_SHOWN]))
    _more(console, len(worst) - FINDINGS_SHOWN, "findings")


def _more(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(Text(f"... and {count:,} more {what} (--json FILE, --html FILE)"))


def _coverage(held: AuditedStore) -> Table:
    title = f"{held.where} at {held.now:%Y-%m-%d %H:%M} UTC: share of the expected rows"
    table = Table(title=Text(title), title_justify="left", collapse_padding=True)
    for name in ("symbol", "from", "to"):
        table.add_column(name, no_wrap=True)
    signals = any(_has_signal(audit) for audit in held.audits)
    names = [*_COLUMNS, *(["signals"] if signals else [])]
    for name in names:
        table.add_column(_COLUMNS.get(name, name), justify="right")
    for severity in SEVERITIES:
        table.add_column(severity + "s", justify="right")
    for audit in _worst_first(held.audits)[:SYMBOLS_SHOWN]:
        counts = audit.counts()
        bars = audit.coverage[0]
        table.add_row(
            Text(audit.symbol),
            "" if bars.first is None else f"{bars.first:%Y-%m}",
            "" if bars.last is None else f"{bars.last:%Y-%m-%d}",
            *(share_in_words(covered_share(audit, name)) for name in names),
            *(_count(severity, counts[severity]) for severity in SEVERITIES),
        )
    return table


def _worst_first(audits: Sequence[Audit]) -> list[Audit]:
    """By name; where not all are shown, those with errors first."""
    if len(audits) <= SYMBOLS_SHOWN:
        return list(audits)
    return sorted(audits, key=lambda one: tuple(-count for count in one.counts().values()))


def _has_signal(audit: Audit) -> bool:
    return not math.isnan(covered_share(audit, "signals"))


def _count(severity: Severity, count: int) -> Text:
    return Text(f"{count:,}", style=_COLOURS[severity] if count else "dim")


def _kinds(held: AuditedStore) -> Table:
    table = Table(title="Findings by kind", title_justify="left")
    table.add_column("kind")
    table.add_column("said by")
    for name in ("symbols", "findings", "rows"):
        table.add_column(name, justify="right")
    table.add_column("such as", overflow="fold")
    for group in by_kind(held.audits):
        symbol, example = group.worst
        table.add_row(
            Text(group.kind, style=_COLOURS[example.severity]),
            example.origin,
            f"{group.symbols:,}",
            f"{len(group.findings):,}",
            f"{group.rows:,}",
            Text(f"{symbol} {example.table} {span_in_words(example)}: {example.detail}".replace(" :", ":")),
        )
    return table


def _varied(findings: Sequence[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """By severity; within it the first of each symbol and kind, then the second ones, and so on."""
    place: Counter[tuple[str, str, Severity]] = Counter()
    keyed: list[tuple[int, int, int, tuple[str, Finding]]] = []
    for symbol, one in findings:
        group = (symbol, one.kind, one.severity)
        keyed.append((SEVERITIES.index(one.severity), place[group], len(keyed), (symbol, one)))
        place[group] += 1
    return [pair for _, _, _, pair in sorted(keyed, key=lambda item: item[:3])]


def _findings(findings: Sequence[tuple[str, Finding]]) -> Table:
    table = Table(title="The gravest findings", title_justify="left")
    for name in ("symbol", "kind", "table", "when"):
        table.add_column(name)
    table.add_column("rows", justify="right")
    table.add_column("detail", overflow="fold")
    for symbol, one in findings:
        table.add_row(
            Text(symbol),
            Text(one.kind, style=_COLOURS[one.severity]),
            Text(one.table),
            span_in_words(one),
            f"{one.count:,}",
            Text(one.detail),
        )
    return table


def _print_agreement(console: Console, held: AuditedStore) -> None:
    table = Table(title=Text(f"Against {held.against}"), title_justify="left")
    for name in ("symbol", "column"):
        table.add_column(name)
    for name in ("compared", "beyond", "tolerance", "largest", "median ratio", "only here", "only there"):
        table.add_column(name, justify="right")
    rows = [(audit.symbol, one) for audit in held.audits for one in audit.agreement]
    rows.sort(key=lambda pair: -pair[1].beyond)
    for symbol, one in rows[:SYMBOLS_SHOWN]:
        table.add_row(
            Text(symbol),
            f"{one.table}.{one.column}",
            f"{one.compared:,}",
            Text(f"{one.beyond:,}", style="yellow" if one.beyond else ""),
            _difference(one, one.tolerance),
            _difference(one, one.largest),
            "" if one.median_ratio is None else f"{one.median_ratio:.6g}",
            f"{one.only_here:,}",
            f"{one.only_there:,}",
        )
    console.print(table)
    _more(console, len(rows) - SYMBOLS_SHOWN, "comparisons")


def _difference(one: Agreement, value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.3g} %" if one.relative else f"{value:.3g}"
