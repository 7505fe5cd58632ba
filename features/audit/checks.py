"""Every check, declared once: the code, the page's legend and the documentation read this table."""

from __future__ import annotations

from dataclasses import dataclass

from features.audit.findings import Severity

__all__ = ["CHECKS", "LEDGER_KINDS", "TOLERANCES", "Check", "LedgerKind", "severity_of_ledger"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes
    ----------
    name : str
        Kind of its findings.
    looks_at : str
        The rows it looks at.
    rule : str
        What it reports, with its threshold.
    why : str
        Why that matters to whoever uses the data.
    severity : {"error", "warning", "note"}
        Usual severity of a finding.
    limit : float
        The threshold that the code uses; 0 where the check has none.
    unit : str
        Of a finding's ``worst``; empty where it has none.
    """

    name: str
    looks_at: str
    rule: str
    why: str
    severity: Severity
    limit: float = 0.0
    unit: str = ""


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(
            "no_data",
            "bars, funding, open interest",
            "the table has no row with a value",
            "what needs it is NaN throughout, and the advice is degraded by name",
            "warning",
        ),
        Check(
            "missing_bars",
            "bars",
            "no bar at a time of the grid between the first and the last; one finding for each gap",
            "nothing fills a gap: features are NaN wherever they need the missing bar",
            "warning",
            unit="h",
        ),
        Check(
            "missing_rows",
            "every other table",
            "neighbours more than 1.5 times the table's own cadence apart (for funding the interval of its "
            "settlements, for optional signals at least the time after which they are stale). Where rows are "
            "less than an hour apart, long gaps of one day are one finding, and those of up to an hour of "
            "one month are one note",
            "the last value is carried only until it is stale, then the feature is NaN",
            "warning",
            limit=1.5,
            unit="h",
        ),
        Check(
            "double_rows",
            "every table",
            "two rows of the same time, or bars closer together than their interval",
            "which of them counts is left to chance",
            "error",
        ),
        Check(
            "unsorted_rows",
            "every table",
            "a row earlier than the one before it",
            "a sign of files joined in the wrong order",
            "error",
        ),
        Check(
            "future_rows",
            "every table",
            "a row later than the time of the audit; a bar that closes later is still forming",
            "what is not known yet leaks into features",
            "error",
        ),
        Check(
            "impossible_bar",
            "bars",
            "a price that is missing, not above zero or not finite, high below low, open or close outside of "
            "high and low, volume below zero",
            "a history with such a bar is refused",
            "error",
        ),
        Check(
            "impossible_value",
            "every other table",
            "a value outside of what it can be, such as open interest of zero or fear & greed of 130",
            "it is NaN for the features",
            "error",
        ),
        Check(
            "outlier_bar",
            "bars",
            "close to close, or the wick beyond open and close, more than 20 sigma; sigma is 1.48 times the "
            "median absolute one-bar return (of those not zero) of the 14 days, at least 60 bars, around "
            "it, so that no single bar moves it. An error if the price came back without more trade than "
            "usual, as a bad print does; a note if three times the usual volume traded: shocks of the market "
            "look like that, and other symbols have them at the same hour",
            "one wrong bar bends volatility, and with it every scaled feature, for weeks",
            "warning",
            limit=20.0,
            unit="sigma",
        ),
        Check(
            "open_jump",
            "bars",
            "a bar opens more than 0.5 % and more than one sigma away from the close just before it",
            "neighbours of one market meet; a jump shows a change of market or a price that was altered",
            "warning",
            limit=0.005,
            unit="%",
        ),
        Check(
            "stuck_price",
            "bars",
            "the same close for 6 bars or more",
            "a feed that stands still, or a market that was halted: volatility is not what it seems",
            "warning",
            limit=6,
        ),
        Check(
            "zero_volume",
            "bars",
            "bars without any volume, or whose volume is missing",
            "nobody traded at those prices",
            "warning",
        ),
        Check(
            "beyond_funding_cap",
            "funding",
            "a rate beyond the exchange's cap for the symbol (funding_caps.json: 0.30 % for BTCUSDT and "
            "ETHUSDT, 2 % for others, with a margin of 2 % as the caps are known roughly)",
            "the exchange cannot have settled at it, or its cap has changed",
            "error",
            limit=0.02,
            unit="%",
        ),
        Check(
            "changed_interval",
            "funding",
            "settlements further apart or closer together than before",
            "a rate is a fraction per interval: after a change the same rate costs more or less a day",
            "note",
            unit="h",
        ),
        Check(
            "open_interest_jump",
            "open interest",
            "consecutive values, at most two days apart, of which one is 1.5 times the other or more",
            "often a change of what is counted, not of positions; use changes and ranks, not the level",
            "warning",
            limit=1.5,
            unit="times",
        ),
        Check(
            "starts_late",
            "every table but bars",
            "its first row more than seven days after the first bar's close",
            "features that need it are NaN until then",
            "note",
            limit=7.0,
            unit="days",
        ),
        Check(
            "ends_early",
            "every table but bars",
            "its last row so long before the last bar's close that it is stale there",
            "the newest features are NaN",
            "warning",
            unit="h",
        ),
        Check(
            "stale_table",
            "every table",
            "at the time of the audit the newest row is older than two bars, or than the time after which a "
            "value no longer joins a bar (funding 24 h, open interest, positioning and signals 48 h); where "
            "the bars themselves are stale, that is said of them alone",
            "an answer for now would be refused or degraded; bearmode update brings the newest rows",
            "note",
            unit="h",
        ),
        Check(
            "disagreement",
            "bars, funding and open interest of two sources (--against)",
            "values of the same time that differ by more than 0.1 % (prices), 1 % (volume, open interest) or "
            "0.000001 (funding rate)",
            "at least one of the two is wrong, or they do not count the same thing",
            "warning",
            unit="largest",
        ),
        Check(
            "only_there",
            "bars, funding and open interest of two sources (--against)",
            "times that the other source has and this one lacks, between their first and last common time",
            "such a gap could be mended from the other source",
            "warning",
        ),
        Check(
            "not_comparable",
            "bars, funding and open interest of two sources (--against)",
            "a table that both have, without a single common time",
            "the sources cover different spans, or their times mean different things",
            "note",
        ),
    )
}
"""By name, in the order in which pages list them."""

TOLERANCES: dict[str, tuple[tuple[str, float, bool], ...]] = {
    "bars": (
        ("open", 1e-3, True),
        ("high", 1e-3, True),
        ("low", 1e-3, True),
        ("close", 1e-3, True),
        ("volume", 1e-2, True),
    ),
    "funding": (("funding_rate", 1e-6, False),),
    "open_interest": (("open_interest_value", 1e-2, True),),
}
"""Table to columns compared between two sources: tolerance, and whether it is a share of the value."""


@dataclass(frozen=True, slots=True)
class LedgerKind:
    """Kind of entry that a source writes when it reads, with the severity an audit gives it."""

    meaning: str
    severity: Severity


LEDGER_KINDS: dict[str, LedgerKind] = {
    "missing_file": LedgerKind("the source has no file for that period", "warning"),
    "refused_file": LedgerKind(
        "a file that failed its checksum or could not be read; none of it is in", "error"
    ),
    "revised_file": LedgerKind("the source changed a file that was read before; it was read again", "note"),
    "no_header": LedgerKind("a file without a line of column names, read by position", "note"),
    "microsecond_times": LedgerKind("times in microseconds, read as such", "note"),
    "jittered_stamps": LedgerKind("settlement times some milliseconds off, rounded", "note"),
    "double_rows": LedgerKind("rows of one time in a file; the last one is kept", "note"),
    "blank_rows": LedgerKind("empty rows or cells, passed over", "note"),
    "refused_rows": LedgerKind("rows that cannot be right, such as high below low; not read", "warning"),
    "missing_rows": LedgerKind("times that a file should hold and does not", "warning"),
    "changed_interval": LedgerKind("the funding interval changed", "note"),
    "snapped_interval": LedgerKind("a funding interval that was not given, taken from the distance", "note"),
    "forming_bar": LedgerKind("a bar that had not closed yet; left out", "note"),
    "no_data": LedgerKind("the source has none of it", "warning"),
    "stale_value": LedgerKind("a value too old to join a bar", "note"),
    "missing_bars": LedgerKind("the source has no bar there", "warning"),
    "ignored_file": LedgerKind("a file that is not known or not needed", "note"),
    "ignored_column": LedgerKind("a column that is not known", "note"),
    "refused_value": LedgerKind("a value outside of what it can be; NaN", "warning"),
    "derived_value": LedgerKind("values calculated from others that the source gives", "note"),
    "clock_differs": LedgerKind("the exchange's clock and ours differ; the earlier one counted", "note"),
}
"""What the entries of a source's gap ledger mean."""


def severity_of_ledger(kind: str) -> Severity:
    """Severity of a ledger entry; a kind that is not known is a note."""
    known = LEDGER_KINDS.get(kind)
    return "note" if known is None else known.severity
