"""``--columns``: which column of your files is which column here.

    --columns bars.open_time=ts,bars.close=last,funding.funding_rate=rate

Left of the point the table, left of the sign the column here, right of it the file's own name. What
is not declared keeps its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from features.errors import UsageError
from features.sources.file_tables import TABLES, TableFormat

__all__ = ["CLOSE_TIME", "FileColumns", "parse_columns"]

CLOSE_TIME = "close_time"
"""Of bars, in place of ``open_time``: the files say each bar's close."""

_NAMES = {"positioning": "positioning_1d", "fear_greed": "fear_greed_1d"} | {name: name for name in TABLES}


@dataclass(frozen=True)
class FileColumns:
    """Declared columns.

    Attributes
    ----------
    tables : mapping of str to mapping of str to str
        By table (``bars``, ``funding``, ...): column here to column of the file.
    """

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, table: str) -> Mapping[str, str] | None:
        """Declared columns of a table; ``None`` where none was declared."""
        return self.tables.get(table)

    def form(self, table: str) -> TableFormat:
        """Format of a table, as declared: bars may say their close."""
        form = TABLES[table]
        return replace(form, time=CLOSE_TIME) if CLOSE_TIME in self.tables.get(table, {}) else form


def parse_columns(text: str | None) -> FileColumns | None:
    """Columns from the option; ``None`` where it was not given.

    Raises
    ------
    UsageError
        For a piece that is no declaration, a table or column that is not known, and a column
        declared twice.

    Examples
    --------
    >>> parse_columns("bars.open_time=ts, bars.close=last").of("bars")
    {'open_time': 'ts', 'close': 'last'}
    """
    if text is None:
        return None
    tables: dict[str, dict[str, str]] = {}
    for piece in text.split(","):
        if not piece.strip():
            continue
        target, sign, source = (part.strip() for part in piece.partition("="))
        table, point, column = (part.strip() for part in target.partition("."))
        if not (sign and source and point and table and column):
            raise _wrong(f"{piece.strip()[:80]!r} declares no column")
        if table not in _NAMES:
            raise _wrong(f"there is no table {table[:40]!r}, expected one of {', '.join(_NAMES)}")
        known = _targets(TABLES[_NAMES[table]])
        if column not in known:
            raise _wrong(f"{table} has no column {column[:40]!r}, expected one of {', '.join(known)}")
        declared = tables.setdefault(_NAMES[table], {})
        if column in declared:
            raise _wrong(f"{table}.{column} is declared twice: {declared[column]!r} and {source[:80]!r}")
        if source in declared.values():
            raise _wrong(f"{table}: the file's column {source[:80]!r} is declared for two columns")
        declared[column] = source
    if not tables:
        raise _wrong("--columns declares nothing")
    if {CLOSE_TIME, "open_time"} <= tables.get("bars", {}).keys():
        raise _wrong("bars.open_time and bars.close_time are both declared")
    return FileColumns(tables)


def _targets(form: TableFormat) -> tuple[str, ...]:
    closes = (CLOSE_TIME,) if form.time == "open_time" else ()
    return (form.time, *closes, *form.required, *form.optional)


def _wrong(message: str) -> UsageError:
    return UsageError(
        message,
        code="bad_columns",
        field="columns",
        hint="write --columns bars.open_time=ts,bars.close=last",
    )
