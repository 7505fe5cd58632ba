"""A backup back into a folder: nothing is overwritten, nothing leaves the folder, every file is proven."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.errors import BearmodeError, UsageError
from serving.bundle import champion
from training.promotion import load_champion
from training.retraining.backup import INDEX, compression_of
from training.retraining.journal import Journal

__all__ = ["Restored", "restore"]

_ROOTS = ("bundles", "mlruns")


@dataclass(frozen=True)
class Restored:
    """Where a backup went.

    Attributes
    ----------
    bundles, mlruns : str
        Folders for ``BEARMODE_BUNDLES`` and ``BEARMODE_MLRUNS``.
    champion : str or None
        Loaded, and its golden rows and windows replayed.
    files : int
    made_at : str
        When the backup was taken.
    """

    bundles: str
    mlruns: str
    champion: str | None
    files: int
    made_at: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def restore(file: Path, into: Path) -> Restored:
    """Unpack a backup into a new or empty folder, whole or not at all.

    Parameters
    ----------
    file : Path
    into : Path

    Raises
    ------
    UsageError
        If there is no such file, or the folder holds something.
    BearmodeError
        ``bad_backup``: cut short, damaged, changed, or with names that lead out of the folder.
    BundleError
        If the champion in it does not prove itself here.
    """
    compression_of(file)
    if not file.is_file():
        raise UsageError(f"{file} is not a file", field="file")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"{into} is not empty: nothing is overwritten", field="into")
    parent = into.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=parent, prefix=f".{into.name}-"))
    except OSError as error:
        raise UsageError(f"{into} cannot be made: {error.strerror}", field="into") from error
    try:
        made_at, files = _unpack(file, staging)
        for name in _ROOTS:
            (staging / name).mkdir(exist_ok=True)
        _settle_database(staging / "mlruns", into.absolute() / "mlruns")
        version = None
        if champion(staging / "bundles") is not None:
            version = load_champion(staging / "bundles").version
        words = f"restored from {file.name}, taken {made_at}"
        Journal(staging / "bundles").append({"action": "restore", "reason": words, "version": version})
        if into.is_dir():
            into.rmdir()
        staging.chmod(0o755)
        staging.rename(into)
    except OSError as error:
        raise BearmodeError(
            f"{file} cannot be restored: {error.strerror or error}", code="restore_failed"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    places = into.absolute()
    return Restored(str(places / "bundles"), str(places / "mlruns"), version, files, made_at)


def _unpack(file: Path, folder: Path) -> tuple[str, int]:
    free = shutil.disk_usage(folder).free
    found: dict[str, str] = {}
    content = b""
    try:
        with _opened(file) as archive:
            for member in archive:
                free -= member.size
                if free < 0:
                    raise _bad(file, "it holds more than this disk has room for")
                stream = archive.extractfile(_checked(file, member, folder, found))
                if stream is None:
                    raise _bad(file, f"{member.name} is no file")
                if member.name == INDEX:
                    content = stream.read()
                    continue
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    shutil.copyfileobj(stream, out)
                with target.open("rb") as written:
                    found[member.name] = hashlib.file_digest(written, "sha256").hexdigest()
    except (tarfile.TarError, pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise _bad(file, f"it is no whole archive ({error})") from error
    return _compared(file, content, found), len(found)


def _checked(file: Path, member: tarfile.TarInfo, folder: Path, found: dict[str, str]) -> tarfile.TarInfo:
    """Refuse what is no plain file, leads out of the folder or comes twice."""
    safe = tarfile.data_filter(member, str(folder))
    known = member.name == INDEX or (member.name.split("/")[0] in _ROOTS and "/" in member.name)
    if not member.isreg() or not known or safe.name != member.name or member.name in found:
        raise _bad(file, f"{member.name!r} does not belong into a backup")
    return safe


def _compared(file: Path, content: bytes, found: dict[str, str]) -> str:
    """Hold what was unpacked against the list at the end; returns when the backup was taken."""
    try:
        index = json.loads(content)
        expected, made_at = dict(index["files"]), str(index["made_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise _bad(file, f"it ends without {INDEX}: it was cut short") from error
    wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if wrong:
        raise _bad(file, f"{', '.join(wrong[:3])} is not what was backed up")
    return made_at


def _settle_database(staged: Path, mlruns: Path) -> None:
    """Let new runs log where the database now lies: MLflow stores absolute paths."""
    database = staged / "mlflow.db"
    if not database.is_file():
        return
    moved = (mlruns / "artifacts").as_uri()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE artifact_location LIKE 'file:%/artifacts'",
            (moved,),
        )


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    with (
        file.open("rb") as raw,
        pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression_of(file)) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        yield archive


def _bad(file: Path, words: str) -> BearmodeError:
    return BearmodeError(f"{file}: {words}", code="bad_backup", hint="take another backup")
