"""Every colour of the page can be read, and the regimes stay apart for the colour-blind, in both themes."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from serving.page import assets as assets_module

REGIMES = ("bear", "ranging", "relief_rally", "bull")
THEMES = ("light", "dark")
Colour = npt.NDArray[np.float64]

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.3039],
        ]
    ),
}


def tokens(theme: str) -> dict[str, str]:
    """Colours by name."""
    text = Path(assets_module.__file__).with_name("files").joinpath("colours.css").read_text()
    light, dark = text.split(':root[data-theme="dark"]')
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light if theme == "light" else dark))


def linear(colour: str) -> Colour:
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lightness(colour: str) -> float:
    return float((TO_XYZ @ linear(colour))[1])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""
    low, high = sorted((lightness(one), lightness(other)))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Colour) -> Colour:
    x = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures_are_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.2, 80.1, 67.2], abs=0.2)


@pytest.mark.parametrize("theme", THEMES)
def test_both_themes_have_every_colour(theme: str) -> None:
    assert tokens(theme).keys() == tokens("light").keys()
    assert len(tokens(theme)) >= 24


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("ink", ("page", "card", "sunk", "warn", "bad")),
        ("soft", ("page", "card", "sunk")),
        ("accent", ("page", "card", "sunk")),
        ("on-accent", ("accent",)),
        ("warn-edge", ("card", "sunk", "page")),
        ("bad-edge", ("card",)),
        ("good-edge", ("card",)),
        *((f"on-{name}", (name,)) for name in REGIMES),
    ],
)
def test_text_has_contrast(theme: str, text: str, grounds: tuple[str, ...]) -> None:
    colours = tokens(theme)
    for ground in grounds:
        assert contrast(colours[text], colours[ground]) >= 4.5, f"{theme}: {text} on {ground}"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("edge", ["edge", "accent", "warn-edge", "bad-edge", "good-edge"])
def test_what_is_no_text_can_be_seen(theme: str, edge: str) -> None:
    colours = tokens(theme)
    assert contrast(colours[edge], colours["card"]) >= 3
    assert contrast(colours[edge], colours["page"]) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_regimes_stay_apart(theme: str, sight: str) -> None:
    colours = tokens(theme)
    seen = {name: lab(SIGHT[sight] @ linear(colours[name])) for name in REGIMES}
    for one, other in combinations(REGIMES, 2):
        distance = float(np.linalg.norm(seen[one] - seen[other]))
        assert distance >= 18, f"{theme}, {sight}: {one} and {other} are {distance:.0f} apart"


@pytest.mark.parametrize("theme", THEMES)
def test_shaded_cells_can_be_read(theme: str) -> None:
    """The heat map of the survival table mixes at most 48 % of the heat colour into the card."""
    colours = tokens(theme)
    heat, card = (bytes.fromhex(colours[name][1:]) for name in ("heat", "card"))
    mixed = "#" + bytes(round(0.48 * a + 0.52 * b) for a, b in zip(heat, card, strict=True)).hex()
    assert contrast(colours["ink"], mixed) >= 4.5
