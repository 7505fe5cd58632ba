"""The audit of one market: every table through every check."""

from __future__ import annotations

import pandas as pd

from features.audit.agreement import compare
from features.audit.checks import CHECKS
from features.audit.coverage import cover, edge_findings
from features.audit.findings import Agreement, Audit, Coverage, Finding, milliseconds
from features.audit.price_checks import price_findings
from features.audit.source_ledger import ledger_findings
from features.audit.tables import tables_of
from features.audit.value_checks import value_findings
from features.errors import UsageError
from features.raw import RawMarket, interval_delta

__all__ = ["audit_market"]

_NEEDED = ("bars", "funding", "open_interest")
_OF_ALL_SYMBOLS = ("fear_greed", "signal")


def audit_market(market: RawMarket, *, now: pd.Timestamp, against: RawMarket | None = None) -> Audit:
    """Examine the raw tables of one symbol; nothing is changed, and no table makes it fail.

    The checks look back on the whole tables, later rows included: an audit is hindsight.

    Parameters
    ----------
    market : RawMarket
    now : pandas.Timestamp
        Time that ages count back from, UTC.
    against : RawMarket, optional
        Another source's tables of the same symbol and interval to compare with.

    Returns
    -------
    Audit
        Findings in the order of :data:`~features.audit.checks.CHECKS`, then the source's ledger.

    Raises
    ------
    UsageError
        If ``now`` has no time zone, or ``against`` is of another interval.
    """
    if now.tz is None:
        raise UsageError(f"now is {now}, expected a time with a time zone", field="now")
    if against is not None and against.interval != market.interval:
        raise UsageError(
            f"{market.symbol}: bars of {market.interval} cannot be compared with bars of {against.interval}",
            field="interval",
        )
    moment = milliseconds(now)
    step = int(interval_delta(market.interval) / pd.Timedelta(milliseconds=1))
    tables, findings = tables_of(market)
    bars = tables[0]
    since = int(bars.time[0]) if len(bars.time) else None
    covered: list[list[Coverage]] = []
    for table in tables:
        # What speaks of all symbols may reach back long before this one was listed.
        found, gaps = cover(table, step, moment, since if table.kind in _OF_ALL_SYMBOLS else None)
        covered.append(found)
        findings += gaps
        if table is bars:
            findings += price_findings(bars, step, moment)
        else:
            findings += value_findings(table, market.symbol, moment)
    findings += edge_findings(list(zip(tables, covered, strict=True)))
    findings += _absent({one.table: one for part in covered for one in part})
    agreement: list[Agreement] = []
    if against is not None:
        agreement, differences = compare(tables, tables_of(against)[0])
        findings += differences
    flat = [one for part in covered for one in part]
    order = {name: place for place, name in enumerate(CHECKS)}
    findings.sort(key=lambda one: (order[one.kind], one.table, "" if one.start is None else str(one.start)))
    return Audit(
        market.symbol,
        market.interval,
        market.source,
        now,
        tuple(flat),
        (*findings, *ledger_findings(market.ledger, flat, findings)),
        None if against is None else against.source,
        tuple(agreement),
    )


def _absent(covered: dict[str, Coverage]) -> list[Finding]:
    """Needed tables that have no row with a value."""
    return [
        Finding(
            "no_data",
            name,
            None,
            None,
            0,
            "error" if name == "bars" else CHECKS["no_data"].severity,
            "there is no row with a value",
        )
        for name in _NEEDED
        if name not in covered or covered[name].present == 0
    ]
