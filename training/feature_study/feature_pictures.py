"""Small pictures of the report on features, as numbers for its SVG: no chart library, no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from features.declaration import Feature
from training.feature_study.ablation import Difference
from training.feature_study.feature_relations import Relations

__all__ = ["FULL_BAR", "SHADES", "Forest", "Map", "bars_path", "correlation_map", "forest_of", "level"]

SHADES: tuple[float, ...] = (0.5, 0.7, 0.85, 0.95)
"""Absolute correlations from which on the map is a shade darker."""
BAR_HEIGHT = 20
FULL_BAR = 0.4
"""Correlation at which a bar reaches the edge of its box."""
_REACH = 4.0


@dataclass(frozen=True)
class Forest:
    """Common axis of the intervals of one table, 0 to 100.

    Attributes
    ----------
    reach : float
        Difference at the ends of the axis; zero lies in the middle.
    """

    reach: float

    def place(self, value: float) -> float:
        """Place of a difference; one beyond the axis lies at its end."""
        return float(np.clip(50.0 + 50.0 * value / self.reach, 0.0, 100.0))

    def beyond(self, value: float) -> bool:
        """Whether the axis does not reach so far."""
        return abs(value) > self.reach


def forest_of(differences: Iterable[Difference]) -> Forest:
    """Axis for some differences: one that dwarfs the others does not flatten them."""
    reaches = [
        max(
            abs(value)
            for value in (one.spells.estimate, one.spells.low, one.spells.high)
            if math.isfinite(value)
        )
        for one in differences
    ]
    known = [reach for reach in reaches if reach > 0]
    return Forest(min(max(known), _REACH * float(np.median(known))) if known else 1.0)


@dataclass(frozen=True)
class Map:
    """Rank correlations of all features, in the catalogue's order.

    Attributes
    ----------
    size : int
        Cells of a side.
    paths : tuple of (str, str)
        Class of each shade and the SVG path of its cells; the lower triangle.
    groups : tuple of (str, int, int)
        Each group's name, first cell, and cells.
    """

    size: int
    paths: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, int, int], ...]


def correlation_map(relations: Relations, features: Sequence[Feature]) -> Map:
    """Cells of the map by shade; runs of one shade in a row are one rectangle."""
    rho = np.nan_to_num(np.abs(relations.rho.to_numpy()), nan=0.0)
    shade = np.searchsorted(SHADES, rho, side="left")
    pieces: dict[int, list[str]] = {number: [] for number in range(1, len(SHADES) + 1)}
    for row in range(1, len(shade)):
        cells = shade[row, :row]
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        for start, end in zip(starts, [*starts[1:], row], strict=True):
            if cells[start]:
                pieces[int(cells[start])].append(f"M{start} {row}h{end - start}v1h{start - end}z")
    groups: list[tuple[str, int, int]] = []
    for index, feature in enumerate(features):
        if groups and groups[-1][0] == feature.group:
            name, first, count = groups[-1]
            groups[-1] = (name, first, count + 1)
        else:
            groups.append((feature.group, index, 1))
    paths = tuple((f"c{number}", "".join(found)) for number, found in pieces.items())
    return Map(len(shade), paths, tuple(groups))


def bars_path(values: Sequence[float]) -> str:
    """SVG path of bars up and down from the middle of a box 6 units wide a bar and 20 high.

    Examples
    --------
    >>> bars_path([0.4, float("nan"), -0.2])
    'M0 10v-10h5v10zM12 10v5h5v-5z'
    """
    path = []
    for index, value in enumerate(values):
        if math.isfinite(value):
            height = round(np.clip(value / FULL_BAR, -1, 1) * BAR_HEIGHT / 2, 1)
            path.append(f"M{6 * index} 10v{-height:g}h5v{height:g}z")
    return "".join(path)


def level(value: float, limits: Sequence[float]) -> int:
    """How many limits an absolute value reaches; -1 where it is unknown.

    Examples
    --------
    >>> level(-0.3, (0.1, 0.25, 1.0)), level(float("nan"), (0.1,))
    (2, -1)
    """
    return -1 if math.isnan(value) else sum(abs(value) >= limit for limit in limits)
