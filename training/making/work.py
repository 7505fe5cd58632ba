"""A work folder: what steps made, each whole or not there, each with the hash of what it was made from.

<folder>/<step>/...         what the step made
<folder>/<step>/done.json   what it was made from, and the SHA-256 of each file
<folder>/.making-<step>/    a step that is being made, or was when its process was killed
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.json_file import write_json

__all__ = ["Kept", "Work", "fingerprint"]

DONE = "done.json"
PARTIAL = ".making-"


def fingerprint(*parts: object) -> str:
    """SHA-256 over JSON-ready values, the same in every process.

    Examples
    --------
    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Kept:
    """Whether a step's result can be used.

    Attributes
    ----------
    folder : Path or None
        Where it is; ``None`` where it has to be made.
    why : str
        In words: done, not done yet, its inputs changed, damaged.
    """

    folder: Path | None
    why: str


class Work:
    """Finished steps of one run.

    Parameters
    ----------
    folder : Path
        Made at the first step.
    inputs : str
        Hash of what all steps are made from.
    """

    def __init__(self, folder: Path, inputs: str) -> None:
        self.folder = folder
        self.inputs = inputs

    def kept(self, step: str, *more: object) -> Kept:
        """Look for a finished step; ``more`` is what it was made from beside the run's own inputs."""
        folder = self.folder / step
        try:
            done = json.loads((folder / DONE).read_bytes())
            files = dict(done["files"])
            inputs = str(done["inputs"])
        except FileNotFoundError:
            return Kept(None, "not done yet")
        except (OSError, ValueError, KeyError, TypeError):
            return Kept(None, "damaged: done.json")
        if inputs != self._inputs(more):
            return Kept(None, "what it is made from has changed")
        for name, expected in files.items():
            if _sha256(folder / name) != expected:
                return Kept(None, f"damaged: {name}")
        return Kept(folder, "done")

    @contextmanager
    def making(self, step: str, *more: object) -> Iterator[Path]:
        """Make a step in a folder of its own, which gets its name once the block ends without an error."""
        partial = self.folder / f"{PARTIAL}{step}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        files = {
            str(path.relative_to(partial)): _sha256(path)
            for path in sorted(partial.rglob("*"))
            if path.is_file()
        }
        write_json(partial / DONE, {"inputs": self._inputs(more), "files": files})
        shutil.rmtree(self.folder / step, ignore_errors=True)
        partial.rename(self.folder / step)

    def _inputs(self, more: tuple[object, ...]) -> str:
        return fingerprint(self.inputs, *more)


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
