"""The page about the audit says what the audit does."""

from __future__ import annotations

from pathlib import Path

from training.audit_document import audit_document


def test_the_page_is_made_from_the_checks() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
    assert page.read_text(encoding="utf-8") == audit_document(), "run python -m training.audit_document"
