"""The journal as clients see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.promotion_journal import read_promotions
from serving.web_errors import RequestRefusedError
from training.retraining.journal import Journal


def test_the_newest_come_first_and_paths_stay_here(tmp_path: Path) -> None:
    assert read_promotions(tmp_path, 5).model_dump() == {"entries": [], "total": 0}
    journal = Journal(tmp_path)
    for number in range(4):
        entry = {"action": "promotion", "version": f"v{number}", "previous": None, "folder": tmp_path}
        journal.append(entry | {"checks": [{"name": "log_loss", "passed": True, "value": float("nan")}]})
    journal.append({"action": "refusal", "champion": "v3", "reason": "not better"})
    found = read_promotions(tmp_path, 2)
    assert [(one.number, one.action, one.previous) for one in found.entries] == [
        (5, "refusal", "v3"),
        (4, "promotion", None),
    ]
    assert found.total == 5
    assert found.entries[1].checks[0].value is None
    assert str(tmp_path) not in found.model_dump_json()


def test_what_is_no_entry_is_passed_over(tmp_path: Path) -> None:
    Journal(tmp_path).append({"action": "promotion", "version": "v1"})
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "at"\n[]\nnull\n{"number": "x", "action": 1}\n')
        file.write(json.dumps({"number": 3, "at": "2026-01-01T00:00:00Z", "action": "rollback"}).encode())
    assert [one.number for one in read_promotions(tmp_path, 9).entries] == [3, 1]


def test_a_journal_that_cannot_be_read_is_a_503(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(RequestRefusedError) as refused:
        read_promotions(tmp_path, 5)
    assert refused.value.status == 503
    assert str(tmp_path) not in refused.value.message
