"""Backup of bundles, champion, journal and MLflow's database as one file, and its restoration.

    bundles/champion.json  bundles/journal.jsonl  bundles/<version>/...  bundles/<version>.walk-forward/...
    mlruns/mlflow.db       backup.json: the SHA-256 of every file above

Taken while the service answers and a training runs: bundles never change once they have their name, the
journal is copied up to its last whole line, the database through SQLite's own backup.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from features.errors import BearmodeError, BundleError, UsageError
from serving.bundle import champion
from training.retraining.journal import JOURNAL
from training.settings import Places

__all__ = ["INDEX", "BackedUp", "Compression", "backup", "compression_of"]

INDEX = "backup.json"
FORMAT = 1
Compression = Literal["gzip", "zstd"]
_SUFFIXES: dict[str, Compression] = {".tar.gz": "gzip", ".tgz": "gzip", ".tar.zst": "zstd"}
_FOLDER = re.compile(r"[0-9a-f]{12}(\.walk-forward)?")


@dataclass(frozen=True)
class BackedUp:
    """What a backup holds.

    Attributes
    ----------
    file : str
    champion : str or None
    bundles, files, size_bytes : int
        ``size_bytes`` of the archive.
    database : bool
        False where MLflow uses a database of its own, or none was made.
    """

    file: str
    champion: str | None
    bundles: int
    files: int
    size_bytes: int
    database: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def compression_of(file: Path) -> Compression:
    """Compression by the file's name.

    Raises
    ------
    UsageError
        For another ending.

    Examples
    --------
    >>> compression_of(Path("monday.tar.zst"))
    'zstd'
    """
    for suffix, kind in _SUFFIXES.items():
        if file.name.endswith(suffix):
            return kind
    raise UsageError(f"{file} ends in none of {', '.join(_SUFFIXES)}", field="file")


def backup(places: Places, file: Path) -> BackedUp:
    """Write a backup, whole or not at all.

    Parameters
    ----------
    places : Places
    file : Path
        New file; its ending chooses the compression.

    Raises
    ------
    UsageError
        If the file is there, cannot be written or has another ending.
    BundleError
        If the champion's bundle is not whole: such a backup would restore nothing that serves.
    """
    kind = compression_of(file)
    if file.exists():
        raise UsageError(f"{file} is there already", field="file", hint="name another file")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file.absolute().parent} is not a folder", field="file")
    if not places.bundles.is_dir():
        raise BundleError(f"there is nothing to back up in {places.bundles}", code="nothing_to_back_up")
    named = champion(places.bundles)
    with _new_file(file) as partial, pa.CompressedOutputStream(str(partial), kind) as stream:
        index: dict[str, str] = {}
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            versions = _bundles(archive, index, places.bundles)
            if named is not None:
                if not any(name.startswith(f"bundles/{named.path}/") for name in index):
                    raise BundleError(
                        f"champion.json names {named.path}, which is not in {places.bundles}",
                        hint="roll back or retrain first",
                    )
                _add(archive, index, "bundles/champion.json", _json(named.model_dump()))
            journal = places.bundles / JOURNAL
            if journal.is_file():
                content = journal.read_bytes()
                _add(archive, index, f"bundles/{JOURNAL}", content[: content.rfind(b"\n") + 1])
            database = _database(archive, index, places)
            _add(archive, {}, INDEX, _json({"format": FORMAT, "made_at": _now(), "files": index}))
    return BackedUp(
        str(file),
        None if named is None else named.version,
        versions,
        len(index),
        file.stat().st_size,
        database,
    )


def _bundles(archive: tarfile.TarFile, index: dict[str, str], bundles: Path) -> int:
    count = 0
    for folder in sorted(bundles.iterdir()):
        if not folder.is_dir() or not _FOLDER.fullmatch(folder.name):
            continue
        try:  # read whole before any of it is added: a bundle may be pruned meanwhile
            content = {
                path.relative_to(bundles): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
        except FileNotFoundError:
            continue
        if not content:
            continue
        for name, data in content.items():
            _add(archive, index, f"bundles/{name.as_posix()}", data)
        count += not folder.name.endswith(".walk-forward")
    return count


def _database(archive: tarfile.TarFile, index: dict[str, str], places: Places) -> bool:
    """MLflow's local database through SQLite's backup, which is consistent while others write."""
    source = places.mlruns / "mlflow.db"
    if not places.tracking_uri.startswith("sqlite:") or not source.is_file():
        return False
    with tempfile.TemporaryDirectory(prefix="bearmode-backup-") as folder:
        copy = Path(folder) / "mlflow.db"
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as live,
            closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target, pages=4096)
        _add_file(archive, index, "mlruns/mlflow.db", copy)
    return True


def _add(archive: tarfile.TarFile, index: dict[str, str], name: str, content: bytes) -> None:
    archive.addfile(_member(name, len(content)), io.BytesIO(content))
    index[name] = hashlib.sha256(content).hexdigest()


def _add_file(archive: tarfile.TarFile, index: dict[str, str], name: str, path: Path) -> None:
    with path.open("rb") as file:
        index[name] = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        archive.addfile(_member(name, path.stat().st_size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    member.mtime = int(datetime.now(UTC).timestamp())
    return member


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """A path to write to, which gets the file's name once the block ends without an error."""
    partial = file.absolute().with_name(f".{file.name}.partial-{os.getpid()}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
    except OSError as error:
        raise BearmodeError(
            f"{file} cannot be written: {error.strerror or error}", code="backup_failed"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
