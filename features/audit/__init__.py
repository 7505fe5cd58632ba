"""The audit: what of a market's raw tables is missing, doubled, odd, old or disputed.

Pure functions of the tables and of a given time; nothing is changed, filled or fetched.
"""

from features.audit.checks import CHECKS, LEDGER_KINDS, Check
from features.audit.findings import SEVERITIES, Agreement, Audit, Coverage, Finding, Severity
from features.audit.market import audit_market

__all__ = [
    "CHECKS",
    "LEDGER_KINDS",
    "SEVERITIES",
    "Agreement",
    "Audit",
    "Check",
    "Coverage",
    "Finding",
    "Severity",
    "audit_market",
]
