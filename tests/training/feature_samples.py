"""A sample of features to plant things in, and a reader of pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from small_training import small_histories

from training.feature_study.feature_sample import FeatureSample, sample_features
from training.pipeline import default_features

__all__ = ["PageReader", "planted", "row_of", "small_sample"]

_VOID = {"meta", "rect", "line", "path"}


@cache
def small_sample() -> FeatureSample:
    """The default features of the small training's histories."""
    return sample_features(small_histories(), default_features())


def planted(
    columns: Mapping[str, npt.NDArray[Any]], *, group: str = "volume", alone: bool = False
) -> FeatureSample:
    """The small sample with columns of our own, beside its features or instead of them."""
    sample = small_sample()
    own = tuple(replace(sample.features[0], name=name, group=group) for name in columns)
    table = np.column_stack([values.astype(np.float32) for values in columns.values()])
    if alone:
        return replace(sample, features=own, X=table)
    return replace(sample, features=(*sample.features, *own), X=np.column_stack((sample.X, table)))


def row_of(table: pd.DataFrame, **keys: object) -> dict[str, Any]:
    """The one row of a table that has these values."""
    (row,) = (
        row for row in table.to_dict("records") if all(row[name] == value for name, value in keys.items())
    )
    return {str(name): value for name, value in row.items()}


class PageReader(HTMLParser):
    """Tags, attributes and words of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))
