"""Progress in the terminal, on stderr: results go to stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["step_progress", "symbol_progress"]


@contextmanager
def step_progress() -> Iterator[Callable[[str, int], None]]:
    """Show one bar of named steps; gives the function that is told each step as it begins."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("features and labels", total=None)

        def step(name: str, total: int) -> None:
            started = progress.tasks[0].total is not None
            progress.update(task, total=total, description=name, advance=1 if started else 0)

        yield step
        total = progress.tasks[0].total
        if total is not None:
            progress.update(task, completed=total, description="done")


@contextmanager
def symbol_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar for many symbols; gives the function that is told (symbol, done, total).

    The bar's total grows as symbols say how much they have to do.
    """
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        done: dict[str, tuple[int, int]] = {}

        def tell(symbol: str, steps: int, total: int) -> None:
            done[symbol] = (steps, total)
            completed, whole = (sum(column) for column in zip(*done.values(), strict=True))
            progress.update(task, description=symbol, completed=completed, total=whole)

        yield tell
