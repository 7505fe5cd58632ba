"""Remove old bundles; never the champion, nor the one before it."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.errors import BundleError, UsageError
from serving.bundle import RunInfo, champion
from training.promotion import walk_forward_folder
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.retraining.registry import delete_runs
from training.retraining.succession import line_of_succession
from training.settings import Places

__all__ = ["Pruned", "prune"]

_BUNDLE = re.compile(r"[0-9a-f]{12}")
_STRAY = (".incoming-*", ".removed-*")
"""Whoever writes holds the lock, so these are of processes that were killed."""


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes
    ----------
    removed, kept : tuple of str
        Versions, newest first.
    why : dict of str to str
        Why each kept one is kept.
    strays : tuple of str
        Names of unfinished copies.
    freed_bytes : int
    runs : int
        MLflow runs that were marked deleted.
    dry_run : bool
    """

    removed: tuple[str, ...]
    kept: tuple[str, ...]
    why: dict[str, str]
    strays: tuple[str, ...]
    freed_bytes: int
    runs: int
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def prune(places: Places, keep: int, *, dry_run: bool = False, runs: bool = False) -> Pruned:
    """Remove all bundles but the champion, the one before it and the newest ones.

    Parameters
    ----------
    places : Places
    keep : int
        How many of the newest bundles stay, promoted or not; 0 or more.
    dry_run : bool
        Say only.
    runs : bool
        Also mark the MLflow runs of the removed bundles deleted (``mlflow gc`` removes such runs).

    Raises
    ------
    UsageError
        For a negative number.
    BundleError
        If ``champion.json`` is broken or its bundle is not there: nothing is removed then.
    LockedError
        If somebody trains, promotes or removes bundles at the moment.
    """
    if keep < 0:
        raise UsageError(f"--keep is {keep}, expected 0 or more", field="keep")
    bundles = places.bundles
    if not bundles.is_dir():
        return Pruned((), (), {}, (), 0, 0, dry_run)
    with bundles_locked(bundles, "prune"):
        newest = _installed(bundles)
        why = _kept(bundles, newest, keep)
        removed = [name for name in newest if name not in why]
        orphans = [
            path
            for path in bundles.glob("*.walk-forward")
            if _BUNDLE.fullmatch(path.name.removesuffix(".walk-forward"))
            and path.name.removesuffix(".walk-forward") not in newest
        ]
        strays = [path for pattern in _STRAY for path in bundles.glob(pattern) if path.is_dir()] + orphans
        doomed = [folder for name in removed for folder in _folders(bundles / name)]
        freed = sum(_size(path) for path in [*doomed, *strays])
        stay = {_run_id(bundles / name) for name in why}
        run_ids = [run for name in removed if (run := _run_id(bundles / name)) and run not in stay]
        marked = 0
        if not dry_run:
            removed = [name for name in removed if _remove(bundles, name)]
            for path in strays:
                shutil.rmtree(path, ignore_errors=True)
            marked = delete_runs(places, run_ids) if runs else 0
            if removed:
                entry = {"action": "prune", "reason": f"keep {keep}", "removed": removed, "runs": marked}
                Journal(bundles).append(entry)
    return Pruned(
        tuple(removed),
        tuple(name for name in newest if name in why),
        why,
        tuple(path.name for path in strays),
        freed,
        marked,
        dry_run,
    )


def _installed(bundles: Path) -> list[str]:
    """Versions, newest run first."""
    found = [path for path in bundles.iterdir() if path.is_dir() and _BUNDLE.fullmatch(path.name)]
    return [path.name for path in sorted(found, key=lambda path: (_made(path), path.name), reverse=True)]


def _made(folder: Path) -> datetime:
    """When the bundle's run began; when the folder changed where ``run.json`` does not say."""
    created = _run(folder).created_at
    if created is None:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _run(folder: Path) -> RunInfo:
    try:
        return RunInfo.model_validate_json((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return RunInfo()


def _run_id(folder: Path) -> str | None:
    return _run(folder).run_id


def _kept(bundles: Path, newest: list[str], keep: int) -> dict[str, str]:
    """Which stay, and why; the champion's bundle has to be there."""
    why: dict[str, str] = {}
    named = champion(bundles)
    if named is not None:
        if not (bundles / named.path / "manifest.json").is_file():
            raise BundleError(
                f"champion.json names {named.path}, which is not there",
                hint="restore a backup or roll back before anything is removed",
            )
        line = line_of_succession(bundles)
        why[Path(named.path).name] = "champion"
        why.setdefault(named.version, "champion")
        for previous in (named.previous, line[-2] if len(line) > 1 else None):
            if previous is not None:
                why.setdefault(previous, "previous champion")
    for name in newest[:keep]:
        why.setdefault(name, f"one of the newest {keep}")
    return why


def _remove(bundles: Path, name: str) -> bool:
    """Take a bundle away under another name first, so that a reader finds it whole or not at all."""
    named = champion(bundles)  # once more: a hand may have changed it
    if named is not None and name in {named.version, Path(named.path).name, named.previous}:
        return False
    for folder in _folders(bundles / name):
        gone = folder.with_name(f".removed-{folder.name}")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return True


def _folders(bundle: Path) -> list[Path]:
    return [path for path in (bundle, walk_forward_folder(bundle)) if path.is_dir()]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
