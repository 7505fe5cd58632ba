"""Rows that two days of metrics share: at midnight the ratios of one day and of the next meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.sources.archive.job import Job
from features.sources.archive.layout import ArchiveFile
from features.sources.archive.metrics import METRICS_STEP, RATIOS, joined_cells
from features.sources.archive.notes import Columns
from features.store import KindState

__all__ = ["Edges"]


class Edges:
    """Rows of ``positioning`` around the midnights of a symbol's days.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._held = job.state.kinds.get("positioning")
        self._rows: Columns | None = None

    def joined(self, parts: Sequence[Columns], files: Sequence[ArchiveFile]) -> Columns:
        """One table of the parts of some files, oldest first, and of what their neighbours said."""
        if self._rows is None:
            self._rows = self._load(self._held)
        shared = np.array(
            [
                edge + later
                for file in files
                for edge in (file.period.start, file.period.end)
                for later in (0, METRICS_STEP)
            ],
            np.int64,
        )
        there = np.isin(self._rows["time"], shared)
        neighbours = {name: values[there] for name, values in self._rows.items()}
        whole = joined_cells([neighbours, *parts])
        now = np.isin(whole["time"], shared)
        self._rows = joined_cells([self._rows, {name: values[now] for name, values in whole.items()}])
        return whole

    def _load(self, held: KindState | None) -> Columns:
        """Rows near midnight of the store; read once, and only where it has any."""
        table = None if held is None else self._job.store.table(self._job.symbol, "positioning")
        if table is None:
            return {"time": np.empty(0, np.int64), **{name: np.empty(0) for name in RATIOS}}
        stamps = table["time"].dt.as_unit("ms").dt.tz_localize(None).to_numpy("datetime64[ms]")
        times = stamps.astype(np.int64)
        near = (times % 86_400_000) <= METRICS_STEP
        columns: Columns = {"time": times[near]}
        for name in RATIOS:
            columns[name] = (
                table[name].to_numpy(np.float64)[near] if name in table else np.full(near.sum(), np.nan)
            )
        return columns
