"""Probes for leaks: each names the declared features and signals that fail it, and how.

A table holds one column for each feature and three for each signal, all as 64-bit words, so that
"the same" means the same to the last bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pandas as pd
from histories import FloatArray, utc
from rich_histories import COLUMNS, CONTEXT_COLUMNS, changed, column_of

from features.context import CONTEXT
from features.declaration import Feature
from features.history import History
from features.pipeline import feature_matrix
from features.raw import RawMarket
from features.signals import SIGNALS, Signal, SignalState, signal_table

__all__ = [
    "DECLARED",
    "Declared",
    "Failures",
    "delayed",
    "features_only",
    "future_failures",
    "input_failures",
    "last_row_failures",
    "tables_equal",
    "window_failures",
    "words",
]

Words = npt.NDArray[np.uint64]
Failures = dict[str, list[str]]
"""What failed, by the name of the feature or signal."""


@dataclass(frozen=True)
class Declared:
    """A feature or a signal as the probes see it.

    Attributes
    ----------
    name : str
    thing : Feature or Signal
    inputs : tuple of str
    shorter : int
        Bars taken off the declared look-back: with 1 a probe must find it out.
    """

    name: str
    thing: Feature | Signal
    inputs: tuple[str, ...]
    shorter: int = 0

    def lookback(self, per_day: int) -> int:
        """Declared look-back in bars."""
        return self.thing.lookback(per_day) - self.shorter

    @property
    def width(self) -> int:
        """Columns of the table that are its own."""
        return 1 if isinstance(self.thing, Feature) else 3


def features_only(features: Iterable[Feature]) -> tuple[Declared, ...]:
    """Features as the probes see them."""
    return tuple(Declared(feature.name, feature, feature.inputs) for feature in features)


def _signals() -> tuple[Declared, ...]:
    return tuple(Declared(f"signal {signal.name}", signal, signal.inputs) for signal in SIGNALS)


DECLARED = _signals()
"""The signals; features are added by the sweep."""


def words(made: History, declared: Sequence[Declared], *, last: int | None = None) -> Words:
    """Table of some features and signals, to the last bit."""
    features = tuple(one.thing for one in declared if isinstance(one.thing, Feature))
    matrix = feature_matrix(made, features, last=last).view(np.uint32).astype(np.uint64)
    read = signal_table(made, last) if len(features) < len(declared) else {}
    columns, at = [], 0
    for one in declared:
        if isinstance(one.thing, Feature):
            columns.append(matrix[:, at])
            at += 1
        else:
            signal = read[one.thing.name]
            columns.append(signal.state.astype(np.int64).view(np.uint64))
            columns += [signal.value.view(np.uint64), signal.threshold.view(np.uint64)]
    return np.stack(columns, axis=1)


def _names(declared: Sequence[Declared]) -> list[str]:
    return [one.name for one in declared for _ in range(one.width)]


def _different(declared: Sequence[Declared], one: Words, other: Words) -> set[str]:
    """Names of which any word differs."""
    differs = (one != other).any(axis=0)
    return {name for name, wrong in zip(_names(declared), differs, strict=True) if wrong}


def tables_equal(declared: Sequence[Declared], one: Words, other: Words, probe: str) -> Failures:
    """Name whatever differs between two tables."""
    return {name: [probe] for name in _different(declared, one, other)}


def merged(parts: Iterable[Failures]) -> Failures:
    """All failures together."""
    together: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for name, probes in part.items():
            together[name] += probes
    return dict(together)


def future_failures(
    declared: Sequence[Declared], made: History, other: History, cuts: Sequence[int], seed: int = 20
) -> Failures:
    """Bump the last bar, truncate, shuffle, replace and empty the future: no earlier row may differ."""
    n, table = len(made), words(made, declared)
    rng = np.random.default_rng(seed)
    everything = (*COLUMNS, *(CONTEXT_COLUMNS if made.context else ()))
    bump = {name: column_of(made, name)[-1:] * 1.7 for name in everything}
    bumped = words(changed(made, slice(n - 1, n), bump), declared)
    found = [tables_equal(declared, bumped[:-1], table[:-1], "an earlier row saw the last bar bumped")]
    for cut in cuts:
        known = table[: cut + 1]
        part = words(made.window(cut, cut + 1), declared)
        found.append(tables_equal(declared, part, known, f"row {cut} and before, cut off there"))
        after, order = slice(cut + 1, n), rng.permutation(np.arange(cut + 1, n))
        for kind, values in {
            "shuffled": {name: column_of(made, name)[order] for name in everything},
            "replaced": {name: column_of(other, name)[after] for name in everything},
            "empty": {name: np.full(n - cut - 1, np.nan) for name in everything},
        }.items():
            future = words(changed(made, after, values), declared)[: cut + 1]
            found.append(tables_equal(declared, future, known, f"{kind} future after row {cut}"))
    return merged(found)


def window_failures(declared: Sequence[Declared], made: History, ends: Iterable[int]) -> Failures:
    """A window of exactly the declared look-back must give the words of the whole history."""
    table = dict(zip(_positions(declared), words(made, declared).T, strict=True))
    found: list[Failures] = []

    def lookback(one: Declared) -> int:
        return one.lookback(made.per_day)

    for size, same in groupby(sorted(declared, key=lookback), key=lookback):
        group = list(same)
        whole = np.stack([table[position] for position in _positions(group)], axis=1)
        for end in {size - 1, *(end for end in ends if end >= size - 1)}:
            row = words(made.window(end, size), group, last=1)
            found.append(tables_equal(group, row, whole[end : end + 1], f"window that ends at row {end}"))
    return merged(found)


def _positions(declared: Sequence[Declared]) -> list[tuple[str, int]]:
    return [(one.name, place) for one in declared for place in range(one.width)]


def last_row_failures(declared: Sequence[Declared], made: History, lasts: Iterable[int]) -> Failures:
    """The last rows alone must be the last rows of all."""
    table = words(made, declared)
    return merged(
        tables_equal(declared, words(made, declared, last=last), table[-last:], f"the last {last} rows alone")
        for last in lasts
    )


def input_failures(
    declared: Sequence[Declared],
    made: History,
    presence_only: Iterable[tuple[str, str]],
    stands_without: Iterable[tuple[str, str]] = (),
) -> Failures:
    """Exactly the declared columns are read; without one of them a value is missing, not zero.

    The context is one input, whichever symbols a feature looks at. What ``stands_without`` an input
    may miss it, as a share of many symbols may miss one of them.
    """
    n, table = len(made), words(made, declared)
    missing = _missing_words(declared)
    found: dict[str, list[str]] = defaultdict(list)
    inputs = {name: (name,) for name in COLUMNS} | ({CONTEXT: CONTEXT_COLUMNS} if made.context else {})
    for name, columns in inputs.items():
        noise = {column: _noise(made, column) for column in columns}
        noisy = words(changed(made, slice(0, n), noise), declared)
        nothing = {column: np.full(n, np.nan) for column in columns}
        empty = words(changed(made, slice(0, n), nothing), declared)
        moved, emptied = _different(declared, noisy, table), _different(declared, empty, table)
        for one in declared:
            reads = name in one.inputs
            if reads != (one.name in moved) and (one.name, name) not in presence_only:
                found[one.name].append(f"{'does not read' if reads else 'reads'} {name}")
            if not reads and one.name in emptied:
                found[one.name].append(f"changes without {name}")
        gone = (empty == missing).all(axis=0)
        for one_name, is_gone in zip(_names(declared), gone, strict=True):
            one = next(one for one in declared if one.name == one_name)
            if name in one.inputs and not is_gone and (one_name, name) not in stands_without:
                found[one_name].append(f"is not missing without {name}")
    return dict(found)


def _noise(made: History, name: str) -> FloatArray:
    rng = np.random.default_rng(len(name))
    values = column_of(made, name)
    if name == "funding_rate":
        return values + rng.normal(0, 3e-4, len(values))
    return values * rng.lognormal(0, 0.5, len(values))


def _missing_words(declared: Sequence[Declared]) -> Words:
    nan32 = np.array([np.nan], dtype=np.float32).view(np.uint32).astype(np.uint64)[0]
    nan64 = np.array([np.nan]).view(np.uint64)[0]
    row: list[np.uint64] = []
    for one in declared:
        row += [nan32] if isinstance(one.thing, Feature) else [np.uint64(SignalState.MISSING), nan64, nan64]
    return np.array(row, dtype=np.uint64)


def delayed(raw: RawMarket, subject: str, since: str, hours: int = 24) -> RawMarket:
    """The market with the rows of one table from ``since`` on known some hours later."""
    late = pd.Timedelta(hours=hours)

    def move(table: pd.DataFrame) -> pd.DataFrame:
        time = table["time"].where(table["time"] < utc(since), table["time"] + late)
        return table.assign(time=pd.DatetimeIndex(time).as_unit("ms"))

    if subject in raw.extras:
        series = raw.extras[subject]
        return replace(raw, extras={**raw.extras, subject: replace(series, table=move(series.table))})
    changes: Mapping[str, pd.DataFrame] = {subject: move(getattr(raw, subject))}
    return replace(raw, **changes)  # type: ignore[arg-type]
