"""The page about the audit says what the audit does."""

from __future__ import annotations

import re
from pathlib import Path

from features.audit import LEDGER_KINDS
from training.data.audit_document import audit_document


def test_the_page_is_made_from_the_checks() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
    assert page.read_text(encoding="utf-8") == audit_document(), "run python -m training.data.audit_document"


def test_every_kind_of_the_gap_ledger_is_explained() -> None:
    root = Path(__file__).resolve().parents[2]
    given = re.compile(r"""(?:LedgerEntry|\.add|_entry|_entries)\(\s*(?:kind=)?"([a-z]+_[a-z_]+)\"""")
    code = "".join(file.read_text(encoding="utf-8") for file in (root / "features").rglob("*.py"))
    kinds = set(given.findall(code))
    assert {"missing_file", "derived_value", "double_rows"} <= kinds
    assert kinds <= LEDGER_KINDS.keys()
    page = (root / "docs" / "data.md").read_text(encoding="utf-8")
    assert [kind for kind in LEDGER_KINDS if f"`{kind}`" not in page] == []
