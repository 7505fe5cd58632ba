"""How many independent stories some bars tell: spells of a symbol, and spells of the whole market."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.context import leader_of
from training.dataset import Dataset

__all__ = ["leading_symbol", "market_blocks"]


def leading_symbol(dataset: Dataset) -> int:
    """Index of the symbol whose spells stand for the market: Bitcoin, else the one labelled longest."""
    labelled = np.bincount(dataset.symbol[dataset.y >= 0], minlength=len(dataset.symbols))
    leader = leader_of(dataset.symbols)
    if leader is not None and labelled[dataset.symbols.index(leader)]:
        return dataset.symbols.index(leader)
    return int(labelled.argmax())


def market_blocks(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Number of the leading symbol's spell that each bar of every symbol falls into, shape (n_bars,).

    Five symbols that turn in the same week are one event rather than five. Linking all spells that
    overlap would chain them into one; the spells of the leading symbol cut the calendar instead. A bar
    belongs to the newest spell that began at or before it, and bars before the first to the block 0.
    """
    leader = leading_symbol(dataset)
    own = np.flatnonzero((dataset.symbol == leader) & (dataset.y >= 0))
    turns = own[np.diff(dataset.spell[own], prepend=-1) != 0]
    begins = np.sort(dataset.time[turns].as_unit("ms").asi8)
    stamps = dataset.time.as_unit("ms").asi8
    return np.asarray(np.searchsorted(begins, stamps, side="right"), dtype=np.int64)
