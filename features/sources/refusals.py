"""What becomes of a file that cannot be read: an error at once, or a line in the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from features.errors import BearmodeError
from features.raw import LedgerEntry

__all__ = ["Refusals", "RefusedFile"]


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that gave no row.

    Attributes
    ----------
    file : str
        Path below the folder that was named.
    symbol : str
        Whose it is; empty for a file that speaks of all symbols.
    code : str
        Stable snake-case name of it.
    reason : str
        The first problem, with column and row where there is one.
    field : str or None
        Path of the value at fault, such as ``close[17]``.
    """

    file: str
    symbol: str
    code: str
    reason: str
    field: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """JSON-ready form."""
        return {
            "file": self.file,
            "symbol": self.symbol or None,
            "code": self.code,
            "reason": self.reason,
            "field": self.field,
        }


@dataclass
class Refusals:
    """Files refused so far.

    Attributes
    ----------
    root : Path
        The folder that was named; files are reported relative to it.
    kept : list of RefusedFile or None
        Where to report them; ``None``: the first one is an error.
    """

    root: Path
    kept: list[RefusedFile] | None = None

    def refuse(self, file: Path, symbol: str, error: BearmodeError) -> LedgerEntry:
        """Report a file and go on, or raise its error.

        Returns
        -------
        LedgerEntry
            ``refused_file``, for the symbols that go without the file.

        Raises
        ------
        BearmodeError
            ``error`` itself, where nobody asked for a report.
        """
        if self.kept is None:
            raise error
        name = str(file.relative_to(self.root)) if file.is_relative_to(self.root) else file.name
        # Names and cells of a hostile file may hold what a terminal obeys.
        text = error.message.removeprefix(f"{file}: ")
        reason = "".join(letter if letter.isprintable() else "?" for letter in text)
        self.kept.append(RefusedFile(name, symbol, error.code, reason, error.field))
        return LedgerEntry("refused_file", name, detail=reason)
