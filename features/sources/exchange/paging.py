"""Walking through a venue's pages: every page must lie where it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["MAX_PAGES", "PageError", "Row", "backward", "forward", "spans", "windows"]

Row = Sequence[Any]
"""One row of a page; the first value is the stamp in ms."""
MAX_PAGES = 5000
"""Of one question; ten years of hourly rows at the smallest page are 900."""
_HOLE = 10
"""Steps that a page must lack at one end before they are asked for again."""


class PageError(Exception):
    """Pages that repeat, or lie outside what was asked."""


def spans(first: int, last: int, step: int, limit: int) -> Iterator[tuple[int, int]]:
    """Spans ``(first, last)``, both included, of at most ``limit`` steps each.

    Examples
    --------
    >>> list(spans(0, 50, 10, 4))
    [(0, 30), (40, 50)]
    """
    for start in range(first, last + 1, step * limit):
        yield start, min(last, start + step * (limit - 1))


def windows(
    ask: Callable[[int, int], Sequence[Row]], first: int, last: int, step: int, limit: int
) -> list[Row]:
    """Rows of a regular series, span by span; a span without rows is a gap of the venue.

    A venue whose pages are shorter than believed fills only one end of a span; what lacks at the
    other is asked for again.

    Raises
    ------
    PageError
        If a page has rows and none of them lies in its span, or there are too many pages.
    """
    if (last - first) // (step * limit) >= MAX_PAGES:
        raise PageError(f"more than {MAX_PAGES} pages would be needed")
    rows: list[Row] = []
    for span in spans(first, last, step, limit):
        todo = [span]
        for _ in range(limit):
            if not todo:
                break
            start, end = todo.pop()
            page = ask(start, end)
            inside = [row for row in page if _lies(row, start, end)]
            if not inside:
                if len(page):
                    raise PageError("a page holds nothing of the time that was asked for")
                continue
            rows += inside
            oldest, newest = min(row[0] for row in inside), max(row[0] for row in inside)
            # ccxt cuts a page at the rows asked for, so doubled ones push out others.
            hole = _HOLE * step if len({row[0] for row in inside}) == len(inside) else step
            if oldest - start >= hole:
                todo.append((start, oldest - step))
            if end - newest >= hole:
                todo.append((newest + step, end))
    return rows


def forward(ask: Callable[[int], Sequence[Row]], first: int, last: int, full: int) -> list[Row]:
    """Rows of an irregular series whose pages begin at a time; oldest first.

    Parameters
    ----------
    ask : callable
        Gets the first stamp wanted.
    first, last : int
        Both included, ms.
    full : int
        A page of fewer rows is the last one.

    Raises
    ------
    PageError
        If a page does not go on from the one before.
    """
    rows: list[Row] = []
    for _ in range(MAX_PAGES):
        page = ask(first)
        inside = [row for row in page if _lies(row, first, last)]
        rows += inside
        if len(page) < full:
            return rows
        if not inside:
            raise PageError("a page repeats what came before it")
        first = max(int(row[0]) for row in inside) + 1
        if first > last:
            return rows
    raise PageError(f"more than {MAX_PAGES} pages")


def backward(ask: Callable[[int], Sequence[Row]], first: int, last: int) -> list[Row]:
    """Rows of an irregular series whose pages end at a time; walks from ``last`` to ``first``.

    Raises
    ------
    PageError
        If a page does not go on from the one before.
    """
    rows: list[Row] = []
    for _ in range(MAX_PAGES):
        page = ask(last)
        if not len(page):
            return rows
        rows += [row for row in page if _lies(row, first, last)]
        stamps = [int(row[0]) for row in page if isinstance(row[0], int)]
        if not stamps or min(stamps) > last:
            raise PageError("a page repeats what came before it")
        last = min(stamps) - 1
        if last < first:
            return rows
    raise PageError(f"more than {MAX_PAGES} pages")


def _lies(row: Row, first: int, last: int) -> bool:
    return isinstance(row[0], int) and first <= row[0] <= last
