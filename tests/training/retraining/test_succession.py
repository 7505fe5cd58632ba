"""Who was champion before whom: from the journal, corrected by the file that serves."""

from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.bundle import Champion
from serving.bundle import write_json as write
from training.retraining.journal import Journal
from training.retraining.succession import line_of_succession, reconcile, succession

STEPS = st.lists(
    st.tuples(st.sampled_from(["promotion", "rollback", "refusal", "prune"]), st.sampled_from("abcd"))
)


def name(bundles: Path, version: str, previous: str | None = None) -> None:
    write(
        bundles / "champion.json",
        Champion(version=version, path=version, hash=version * 64, previous=previous).model_dump(),
    )


@given(STEPS)
def test_the_top_is_the_last_promoted_or_restored(steps: list[tuple[str, str]]) -> None:
    line = succession({"action": action, "version": version} for action, version in steps)
    decided = [version for action, version in steps if action in {"promotion", "rollback"}]
    assert line[-1:] == decided[-1:]
    assert all(a != b for a, b in itertools.pairwise(line))


def test_rollbacks_go_further_and_further_back() -> None:
    promoted = [{"action": "promotion", "version": version} for version in "abcd"]
    back = [{"action": "rollback", "version": version} for version in "cb"]
    assert succession([*promoted, back[0]]) == ["a", "b", "c"]
    assert succession([*promoted, *back]) == ["a", "b"]
    again = [*promoted, *back, {"action": "promotion", "version": "e"}]
    assert succession(again) == ["a", "b", "e"]


def test_lines_that_are_no_decision_do_not_count() -> None:
    lines: list[dict[str, object]] = [
        {"action": "torn", "fragment": "x"},
        {"action": "promotion"},
        {"action": "promotion", "version": 3},
    ]
    assert succession(lines) == []


def test_the_file_is_believed_where_the_journal_lacks_the_end(tmp_path: Path) -> None:
    assert line_of_succession(tmp_path) == []
    assert reconcile(tmp_path) is None
    journal = Journal(tmp_path)
    for version in "ab":
        journal.append({"action": "promotion", "version": version})
    name(tmp_path, "b", "a")
    assert line_of_succession(tmp_path) == ["a", "b"]
    assert reconcile(tmp_path) is None
    name(tmp_path, "c", "b")  # promoted, and killed before the journal
    assert line_of_succession(tmp_path) == ["a", "b", "c"]
    assert "c" in str(reconcile(tmp_path))
    assert succession(journal.entries()) == ["a", "b", "c"]
    name(tmp_path, "a")  # rolled back, and killed before the journal
    assert line_of_succession(tmp_path) == ["a"]
    assert reconcile(tmp_path) is not None
    assert succession(journal.entries()) == ["a"]
    assert reconcile(tmp_path) is None


def test_without_a_journal_the_file_alone_is_believed(tmp_path: Path) -> None:
    name(tmp_path, "b", "a")
    assert line_of_succession(tmp_path) == ["a", "b"]
