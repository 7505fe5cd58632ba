"""docs/tour.md: every cell runs, and what the page shows is what comes out."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tour_blocks import blocks, outputs, rewritten


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """A notebook changes what other tests see."""
    width, disabled = pd.get_option("display.width"), logging.root.manager.disable
    yield
    pd.set_option("display.width", width)
    logging.disable(disabled)


@pytest.mark.usefixtures("as_it_was")
def test_the_tour_shows_what_comes_out(root: Path) -> None:
    page = (root / "docs" / "tour.md").read_text(encoding="utf-8")
    cells = blocks(page)
    assert len(cells) == page.count("```python") >= 7
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        printed = outputs(page)
    for cell, found in zip(cells, printed, strict=True):
        again = "python tests/docs/tour_blocks.py docs/tour.md writes what comes out now"
        assert found == cell.shown, f"the cell at line {cell.line} prints something else; {again}"


def test_links_of_the_tour_lead_somewhere(root: Path) -> None:
    page = (root / "docs" / "tour.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", page):
        assert (root / "docs" / target).is_file(), target


def test_a_page_is_rewritten_where_it_is_wrong() -> None:
    page = "# x\n\n```python\na = 1\n```\n\ntext\n\n```python\nprint(a + 1)\n```\n\n```text\n3\n```\n\nend\n"
    assert [cell.shown for cell in blocks(page)] == ["", "3\n"]
    assert outputs(page) == ["", "2\n"]
    assert rewritten(page) == page.replace("3\n", "2\n")
    with pytest.raises(ZeroDivisionError):
        outputs("```python\n1 / 0\n```\n")
