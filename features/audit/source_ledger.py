"""What the source itself said when its files were read, as findings of the audit."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from features.audit.checks import severity_of_ledger
from features.audit.findings import Coverage, Finding
from features.raw import LedgerEntry

__all__ = ["ledger_findings"]

_TABLES = {"fundingRate": ("funding",), "metrics": ("open_interest", "positioning")}
"""Dataset of the archive to the tables that come from it; all others are of bars."""
_GAPS = ("missing_bars", "missing_rows")


def ledger_findings(
    ledger: Sequence[LedgerEntry], covered: Sequence[Coverage], findings: Sequence[Finding]
) -> list[Finding]:
    """Findings of a source's gap ledger, under its own names.

    A missing file whose rows came from elsewhere (days in place of their month, an exchange in place
    of an archive that has not published yet) is a note: nothing lacks in the tables.

    Parameters
    ----------
    ledger : sequence of LedgerEntry
    covered : sequence of Coverage
        Of the tables as they are.
    findings : sequence of Finding
        What was found in them.
    """
    found = []
    for entry in ledger:
        severity, detail = severity_of_ledger(entry.kind), entry.detail
        if entry.kind == "missing_file" and _is_there(entry, covered, findings):
            severity, detail = "note", f"{detail}; its rows came from elsewhere"
        found.append(
            Finding(
                entry.kind,
                entry.subject,
                entry.start,
                entry.end,
                entry.count,
                severity,
                detail,
                None,
                "ledger",
            )
        )
    return found


def _is_there(entry: LedgerEntry, covered: Sequence[Coverage], findings: Sequence[Finding]) -> bool:
    """Whether the tables of a file lack nothing in its span."""
    if entry.start is None or entry.end is None:
        return False
    names = next((tables for dataset, tables in _TABLES.items() if dataset in entry.subject), ("bars",))
    parts = [one for one in covered if one.table.partition(":")[0] in names]
    return bool(parts) and all(_spans(one, entry.start, entry.end, findings) for one in parts)


def _spans(one: Coverage, start: pd.Timestamp, end: pd.Timestamp, findings: Sequence[Finding]) -> bool:
    if one.first is None or one.last is None:
        return False
    row = pd.Timedelta(minutes=one.cadence_minutes or 0)
    if one.first > start + row or one.last < end - row:
        return False
    return not any(
        gap.kind in _GAPS
        and gap.table == one.table
        and (gap.start is None or gap.start <= end)
        and (gap.end is None or gap.end >= start)
        for gap in findings
    )
