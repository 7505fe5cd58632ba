"""Progress of a comparison: a bar for each entry on a terminal, a line for each elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from features.parallel.outcomes import Tell
from training.compare.fold_job import parts_of

__all__ = ["CompareProgress", "compare_progress"]


class CompareProgress:
    """Counts the folds of each entry that are done.

    Parameters
    ----------
    progress : rich.progress.Progress
    console : rich.console.Console
    """

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, set[str]] = {}
        self._folds = 0

    def begin(self, entries: Sequence[str], folds: int) -> None:
        """Say what there is to do."""
        self._folds = folds
        for name in entries:
            self._done[name] = set()
            self._tasks[name] = self._progress.add_task(name.replace("_", " "), total=folds)

    def tell(self, job: str, done: int, total: int) -> None:
        """Take note of a job's step; see :data:`features.parallel.outcomes.Tell`."""
        entry, fold = parts_of(job)
        if entry not in self._tasks or done < total or fold in self._done[entry]:
            return
        self._done[entry].add(fold)
        self._progress.update(self._tasks[entry], completed=len(self._done[entry]))
        if len(self._done[entry]) == self._folds and not self._console.is_terminal:
            self._console.print(f"{entry}: {self._folds} folds", highlight=False)


@contextmanager
def compare_progress() -> Iterator[tuple[CompareProgress, Tell]]:
    """Show progress on stderr; gives what is told, and the function that jobs tell."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<38}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        shown = CompareProgress(progress, console)
        yield shown, shown.tell
