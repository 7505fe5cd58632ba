"""The documentation page of what the audit looks for: ``python -m training.data.audit_document``."""

from __future__ import annotations

from pathlib import Path

from features.audit import CHECKS

__all__ = ["audit_document", "main"]

_TEXT = """# Audit

`bearmode audit [SYMBOLS]` looks at every table of the store as it is. A finding is an **error**
(wrong data: do not trade on it before you have looked), a **warning** (something is missing or
odd) or a **note** (worth knowing, usually true). Nothing is filled or mended; features see NaN
where a value is missing.

| finding | looks at | reports | why it matters | usually |
|---|---|---|---|---|
{rows}

What a source said when it read its files (`missing_file`, `refused_file`, `double_rows`, ...:
[gap ledger](data.md#gap-ledger)) is listed beside the audit's own findings. A missing file whose rows
came from elsewhere (an exchange, for a month that is not published yet) is a note.

Funding caps are dated data with their source (`features/audit/funding_caps.json`), not constants.
"""


def audit_document() -> str:
    """Text of ``docs/audit.md``, made from :data:`features.audit.CHECKS`."""
    rows = "\n".join(
        f"| `{one.name}` | {one.looks_at} | {one.rule} | {one.why} | {one.severity} |"
        for one in CHECKS.values()
    )
    return _TEXT.format(rows=rows)


def main() -> None:
    """Write the page below the working directory."""
    Path("docs/audit.md").write_text(audit_document(), encoding="utf-8")


if __name__ == "__main__":
    main()
