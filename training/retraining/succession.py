"""Who was champion before whom, read from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from features.errors import BundleError
from serving.bundle import champion
from training.retraining.journal import Journal

__all__ = ["before", "line_of_succession", "reconcile", "succession"]


def succession(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Versions from the first champion to the present one, as promotions and rollbacks left them.

    A promotion puts a version on top; a rollback takes off what is above the one it goes back to.

    Examples
    --------
    >>> steps = [("promotion", "a"), ("promotion", "b"), ("promotion", "c"), ("rollback", "b")]
    >>> succession({"action": action, "version": version} for action, version in steps)
    ['a', 'b']
    """
    line: list[str] = []
    for entry in entries:
        version = entry.get("version")
        if entry.get("action") not in {"promotion", "rollback"} or not isinstance(version, str):
            continue
        if entry["action"] == "rollback" and version in line:
            line = [*before(line, version), version]
        elif not line or line[-1] != version:
            line.append(version)
    return line


def before(line: list[str], version: str) -> list[str]:
    """What stands below the last place of a version; the whole line where it has none.

    Examples
    --------
    >>> before(["a", "b", "a", "c"], "a")
    ['a', 'b']
    """
    return line[: len(line) - 1 - line[::-1].index(version)] if version in line else line


def line_of_succession(bundles: Path) -> list[str]:
    """Versions up to the champion, oldest first; the journal's, corrected by ``champion.json``.

    The file is what serves: where the journal lacks its last promotion (a process was killed between the
    two), the file's version and its predecessor are believed.

    Raises
    ------
    BundleError
        If ``champion.json`` is broken.
    """
    named = champion(bundles)
    line = succession(Journal(bundles).entries())
    if named is None:
        return []
    if line and line[-1] == named.version:
        return line
    if named.version in line:
        return [*before(line, named.version), named.version]
    if named.previous is not None and (not line or line[-1] != named.previous):
        line.append(named.previous)
    return [*line, named.version]


def reconcile(bundles: Path) -> str | None:
    """Journal a champion whose promotion was not journaled.

    Returns
    -------
    str or None
        What was noted, or that the file is broken, in words; ``None`` where the journal is complete.
    """
    try:
        named = champion(bundles)
    except BundleError as error:
        return f"{error.message}: 'bearmode rollback' puts back the last champion of the journal"
    journal = Journal(bundles)
    line = succession(journal.entries())
    if named is None or (line and line[-1] == named.version):
        return None
    words = f"champion.json names {named.version}, and the journal did not say so: noted"
    known = named.version in line
    journal.append(
        {
            "action": "rollback" if known else "promotion",
            "reason": "found in champion.json; the process that wrote it did not get to the journal",
            "version": named.version,
            "hash": named.hash,
            "previous": named.previous,
        }
    )
    return words
