"""The code of a Markdown page, run block after block as a notebook is.

``python tests/docs/tour_blocks.py docs/tour.md`` runs the page in a new folder and writes what came out
into it, in place of what stood there.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "outputs", "rewritten"]

BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A cell: its code, the line it begins at and the output that the page shows."""

    code: str
    line: int
    shown: str


def blocks(page: str) -> list[Block]:
    """Cells of a page, in order."""
    return [
        Block(found["code"], page.count("\n", 0, found.start("code")), found["shown"] or "")
        for found in BLOCK.finditer(page)
    ]


@contextmanager
def _new_folder() -> Iterator[None]:
    """A working directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tour-") as folder, contextlib.chdir(folder):
        yield


def outputs(page: str, name: str = "tour.md") -> list[str]:
    """What each cell prints when all run in one namespace and a folder of their own."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = []
    with _new_folder():
        for block in blocks(page):
            # Line numbers in a traceback are those of the page.
            code = compile("\n" * block.line + block.code, name, "exec")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
            found.append("".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines()))
    return found


def rewritten(page: str) -> str:
    """The page with what its cells print now."""
    fresh = iter(outputs(page))

    def cell(found: re.Match[str]) -> str:
        printed = next(fresh)
        code = f"```python\n{found['code']}```\n"
        return code + (f"\n```text\n{printed}```\n" if printed else "")

    return BLOCK.sub(cell, page)


if __name__ == "__main__":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    path = Path(sys.argv[1]).absolute()
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
