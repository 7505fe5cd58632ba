"""Where the bytes lie: a local folder, or any fsspec URL.

Both put an object whole or not at all: the local one by writing beside it and renaming, an object
store by its nature.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from features.errors import BearmodeError, UsageError

__all__ = ["Folder", "LocalFolder", "RemoteFolder", "open_folder"]

PART = ".part"
"""End of the name of a file that is still being written."""


class Folder(Protocol):
    """A tree of named bytes; names are relative, with ``/``."""

    where: str
    downloads: Path

    def path(self, name: str) -> str:
        """Full name, for messages."""

    def get(self, name: str) -> bytes | None:
        """Bytes of one object; ``None`` where it is not there."""

    def get_many(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Bytes of some objects; those that are not there are left out."""

    def put(self, name: str, content: bytes) -> None:
        """Write one object, whole or not at all."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""

    def holds(self, names: Sequence[str]) -> bool:
        """Whether all of some objects are there."""

    def names(self, below: str = "") -> list[str]:
        """Names of all objects below a folder, sorted; also of half-written ones."""

    def subfolders(self) -> list[str]:
        """Names of the folders at the top, sorted."""


def open_folder(root: Path | str) -> Folder:
    """Open a local folder or an fsspec URL; nothing is made.

    Raises
    ------
    UsageError
        For a URL that names no place, or whose protocol is not known or not installed.
    """
    text = str(root)
    if "://" not in text:
        if re.match(r"[a-z][a-z0-9+.]+:/", text):
            raise UsageError(
                f"the store {text} is neither a folder nor a URL", field="store", hint="s3://bucket/prefix"
            )
        return LocalFolder(Path(text))
    if not text.partition("://")[2].strip("/"):
        raise UsageError(f"the store {text} names no place", field="store", hint="s3://bucket/prefix")
    if text.startswith(("file://", "local://")):
        return LocalFolder(Path(text.partition("://")[2]))
    return RemoteFolder(text)


@contextmanager
def _disk(where: object) -> Iterator[None]:
    """Say what the operating system refused in the project's own words."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise BearmodeError(
                f"{where} cannot be written: {error.strerror}",
                code="disk_full",
                hint="make room and run the command again; what was complete is kept",
            ) from error
        raise BearmodeError(
            f"{where}: {error.strerror or error}",
            code="store_unreachable",
            hint="check the path and its permissions",
        ) from error


class LocalFolder:
    """A folder on a local disk; made at the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)
        self.downloads = root / ".downloads"

    def path(self, name: str) -> str:
        """Full path."""
        return str(self.root / name)

    def get(self, name: str) -> bytes | None:
        """Bytes of one file; ``None`` where it is not there."""
        with _disk(self.root / name), suppress(FileNotFoundError, NotADirectoryError):
            return (self.root / name).read_bytes()
        return None

    def get_many(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Bytes of some files; those that are not there are left out."""
        found = {name: self.get(name) for name in names}
        return {name: content for name, content in found.items() if content is not None}

    def put(self, name: str, content: bytes) -> None:
        """Write beside and rename."""
        path = self.root / name
        beside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
        with _disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(content)
                os.replace(beside, path)  # noqa: PTH105 - the atomic one
            except BaseException:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
                raise

    def remove(self, names: Sequence[str]) -> None:
        """Remove files, and folders that are empty then."""
        for name in names:
            path = self.root / name
            with _disk(path):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()

    def holds(self, names: Sequence[str]) -> bool:
        """Whether all of some files are there."""
        with _disk(self.root):
            return all((self.root / name).is_file() for name in names)

    def names(self, below: str = "") -> list[str]:
        """Paths of all files below, relative to the root."""
        found: list[str] = []
        start = len(str(self.root)) + 1
        for folder, _, files in os.walk(self.root / below):
            found += [f"{folder}/{file}"[start:].replace(os.sep, "/") for file in files]
        return sorted(found)

    def subfolders(self) -> list[str]:
        """Folders at the top that do not begin with a dot."""
        with (
            _disk(self.root),
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(self.root) as found,
        ):
            return sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))
        return []


class RemoteFolder:
    """A prefix of an object store, through fsspec.

    Raises
    ------
    UsageError
        If the URL's protocol is not known, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # noqa: PLC0415 - local stores do without

        try:
            self.fs: Any
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            extra = ' (pip install "bearmode[s3]")' if url.startswith("s3") else ""
            raise UsageError(f"the store {url} cannot be opened: {error}{extra}", field="store") from error
        self.root = str(root).rstrip("/")
        self.where = url
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.downloads = cache / "bearmode" / hashlib.sha256(url.encode()).hexdigest()[:16]

    def path(self, name: str) -> str:
        """Full URL."""
        return f"{self.where.rstrip('/')}/{name}"

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn what the object store refuses into one clear error.

        Libraries below raise their own classes (botocore's have no common base with OSError).
        """
        try:
            yield
        except (FileExistsError, BearmodeError):
            raise
        except FileNotFoundError as error:
            if type(error.__cause__).__name__ == "NoSuchBucket":
                raise self._unreachable(error) from error
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> BearmodeError:
        return BearmodeError(
            f"the store {self.where} cannot be used: {type(error).__name__}: {error}",
            code="store_unreachable",
            hint="check the bucket, the credentials and the endpoint",
        )

    def get(self, name: str) -> bytes | None:
        """Bytes of one object; ``None`` where it is not there."""
        with suppress(FileNotFoundError), self.reaching():
            return bytes(self.fs.cat_file(f"{self.root}/{name}"))
        return None

    def get_many(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """Bytes of some objects, fetched at once where the store can."""
        if not names:
            return {}
        with self.reaching():
            found = self.fs.cat([f"{self.root}/{name}" for name in names], on_error="return")
        if isinstance(found, bytes):
            found = {f"{self.root}/{names[0]}": found}
        contents: dict[str, bytes] = {}
        for path, content in found.items():
            if isinstance(content, FileNotFoundError):
                continue
            with self.reaching():
                if isinstance(content, BaseException):
                    raise content
            contents[str(path).lstrip("/").removeprefix(self.root.lstrip("/") + "/")] = bytes(content)
        return contents

    def put(self, name: str, content: bytes) -> None:
        """Write one object; object stores do that whole."""
        with self.reaching():
            self.fs.pipe_file(f"{self.root}/{name}", content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object only if it is not there; whether it was written."""
        try:
            with self.reaching():
                self.fs.pipe_file(f"{self.root}/{name}", content, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""
        with self.reaching():
            for name in names:
                with suppress(FileNotFoundError):
                    self.fs.rm_file(f"{self.root}/{name}")

    def holds(self, names: Sequence[str]) -> bool:
        """Whether all of some objects are there."""
        with self.reaching():
            return all(self.fs.exists(f"{self.root}/{name}") for name in names)

    def names(self, below: str = "") -> list[str]:
        """Names of all objects below."""
        with suppress(FileNotFoundError), self.reaching():
            found = self.fs.find(f"{self.root}/{below}" if below else self.root)
            start = len(self.root.lstrip("/")) + 1
            return sorted(str(path).lstrip("/")[start:] for path in found)
        return []

    def subfolders(self) -> list[str]:
        """Folders at the top that do not begin with a dot."""
        with suppress(FileNotFoundError), self.reaching():
            found = self.fs.ls(self.root, detail=True)
            names = [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in found]
            folders = {name for name, entry in zip(names, found, strict=True) if entry["type"] == "directory"}
            return sorted(name for name in folders if name and not name.startswith("."))
        return []
