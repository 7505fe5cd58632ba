"""Verified zips that are not yet in the store: a run that was killed downloads none of them again."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

from features.sources.archive.checksums import ask
from features.sources.archive.client import ArchiveClient
from features.sources.archive.layout import ArchiveFile
from features.sources.archive.refused import RefusedFileError

__all__ = ["Downloads", "Mismatch", "sha256"]

_PART = ".part"


class Mismatch(RefusedFileError):  # noqa: N818 - said of a file
    """A zip that is not what its checksum says; ``sha256`` is of the zip as it came."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"checksum: the zip is {found[:12]}, its CHECKSUM says {expected[:12]}")
        self.sha256 = found


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Downloads:
    """The folder of one symbol's zips; a name ends with the SHA-256 of its content.

    Parameters
    ----------
    folder : Path
        Made at the first download.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        for part in folder.glob(f"*{_PART}") if folder.is_dir() else ():
            part.unlink(missing_ok=True)

    def read(self, file: ArchiveFile, digest: str) -> bytes:
        """Bytes of a zip that is there."""
        return (self.folder / f"{file.name}.{digest}").read_bytes()

    def holds(self, file: ArchiveFile, digest: str) -> bool:
        """Whether a zip is there, whole."""
        try:
            content = self.read(file, digest)
        except FileNotFoundError:
            return False
        if sha256(content) == digest:
            return True
        self.drop(file, digest)
        return False

    async def bring(self, client: ArchiveClient, file: ArchiveFile, digest: str, limit: int) -> str | None:
        """Have a verified zip in the folder.

        Returns
        -------
        str or None
            Its SHA-256 - another than ``digest`` if the archive exchanged it meanwhile - or ``None``
            if the archive has only its checksum.

        Raises
        ------
        Mismatch
            If the zip is not what its checksum says.
        FileFailedError, BearmodeError
            As :meth:`ArchiveClient.get`.
        """
        if self.holds(file, digest):
            return digest
        content = await client.get(file.path, limit)
        if content is None:
            return None
        found = sha256(content)
        if found != digest:
            again = await ask(client, file)
            if again.sha256 != found:
                raise Mismatch(found, again.sha256 or digest)
        self._save(file, found, content)
        return found

    def _save(self, file: ArchiveFile, digest: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{file.name}.{digest}"
        part = path.with_name(path.name + _PART)
        try:
            part.write_bytes(content)
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        self.count += 1

    def drop(self, file: ArchiveFile, digest: str) -> None:
        """Remove a zip whose rows are in the store."""
        (self.folder / f"{file.name}.{digest}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder: the symbol is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
