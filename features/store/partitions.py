"""Writing the partitions that a change touches; the others stay as they are."""

from __future__ import annotations

import pandas as pd

from features.errors import DataError
from features.store.change import Change
from features.store.folders import Folder
from features.store.kinds import Kind
from features.store.manifest import KindState, Partition, milliseconds
from features.store.tables import cut, decode, encode, merged

__all__ = ["changed_kind"]


def changed_kind(
    folder: Folder, symbol: str, kind: Kind, before: KindState | None, change: Change
) -> KindState | None:
    """Write new partition files of one kind; no manifest names them yet.

    Returns
    -------
    KindState or None
        What the kind then is; ``None`` where no row is left.
    """
    rows = change.tables.get(kind.name)
    cleared = change.cleared.get(kind.name, ())
    kept = {} if before is None else dict(before.partitions)
    new = {} if rows is None or rows.empty else dict(cut(kind, rows))
    touched = {
        period for period, part in kept.items() if any(_meets(part, start, end) for start, end in cleared)
    }
    for period in sorted({*new, *touched}):
        old = kept.get(period)
        held = None if old is None else _read(folder, symbol, kind, old)
        whole = merged(kind, held, new.get(period), cleared)
        if whole is None:
            kept.pop(period, None)
            continue
        part, content = encode(kind, period, whole)
        if part != old:
            folder.put(f"{symbol}/{kind.name}/{part.file}", content)
        kept[period] = part
    if not kept:
        return None
    options = change.options.get(kind.name, {} if before is None else before.options)
    return KindState(dict(sorted(kept.items())), options)


def _meets(part: Partition, start: pd.Timestamp, end: pd.Timestamp) -> bool:
    return part.first < milliseconds(end) and part.last > milliseconds(start)


def _read(folder: Folder, symbol: str, kind: Kind, part: Partition) -> pd.DataFrame:
    name = f"{symbol}/{kind.name}/{part.file}"
    content = folder.get(name)
    if content is None:
        raise DataError(
            f"{folder.path(name)} is missing",
            code="damaged_store",
            hint="remove the symbol's folder and fetch it again",
        )
    frame: pd.DataFrame = decode(content, folder.path(name)).to_pandas()
    return frame
