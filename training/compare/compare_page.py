"""A comparison as one HTML page that needs no network: tables, and pictures that can be asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from training.compare.compare_figures import (
    confusion_panels,
    delay_panels,
    parts_map,
    reliability_panels,
    ribbons,
    switch_bars,
)
from training.compare.comparison import Compared, Comparison
from training.compare.leaderboard import headline

__all__ = ["render_page", "write_page"]


def write_page(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(path)
    finally:
        with suppress(OSError):
            staging.unlink()


def render_page(comparison: Comparison, *, whose: str = "", run_id: str = "") -> str:
    """The page as text; every text of the data is escaped.

    Parameters
    ----------
    comparison : Comparison
        With one entry at least.
    whose : str
        Whose recipe the model follows, in words.
    run_id : str
        Of the parent run in MLflow.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": _signed, "days": _days, "one": _one, "three": _three}
    dataset = comparison.dataset
    return environment.get_template("compare.html").render(
        comparison=comparison,
        dataset=dataset,
        interval=dataset.histories[0].interval,
        source=dataset.histories[0].source,
        span=(f"{dataset.time.min():%Y-%m-%d}", f"{dataset.time.max():%Y-%m-%d}"),
        headline=headline(comparison),
        whose=whose,
        run_id=run_id,
        forest=_Forest(comparison.entries),
        ribbons=[(name, _drawn(figure)) for name, figure in ribbons(comparison)],
        pictures=[(*words, _drawn(figure)) for words, figure in _pictures(comparison)],
        plotly=markupsafe.Markup(get_plotlyjs()),  # noqa: S704 - the library's own text
    )


def _pictures(comparison: Comparison) -> Iterator[tuple[tuple[str, str], go.Figure]]:
    yield (
        ("Reliability", "On the dotted line a stated probability comes true as often as it says."),
        reliability_panels(comparison),
    )
    yield (
        ("What was answered for what", "Rows are the hindsight regime and add up to 100 %."),
        confusion_panels(comparison),
    )
    yield (
        (
            "How soon a turn is answered",
            "From the hindsight turn to the first hour that answers the new regime. A curve ends below "
            "100 % where turns were missed, and begins above 0 where the answer was the new one already.",
        ),
        delay_panels(comparison),
    )
    yield (
        ("Log loss by year, symbol and half-year", "Lower is better; the deepest green is the best."),
        parts_map(comparison, "log_loss", best_is_low=True),
    )
    yield (
        ("Macro F1 by year, symbol and half-year", "Higher is better; the deepest green is the best."),
        parts_map(comparison, "macro_f1", best_is_low=False),
    )
    yield (
        (
            "Switches",
            "A false switch is one to a regime that the truth is nowhere near within three days. Of the "
            "entries only the model decides with memory: the rules answer what they say, the others the "
            "likeliest regime.",
        ),
        switch_bars(comparison),
    )


def _drawn(figure: go.Figure) -> markupsafe.Markup:
    html = figure.to_html(
        include_plotlyjs=False, full_html=False, config={"responsive": True, "displaylogo": False}
    )
    return markupsafe.Markup(html)  # noqa: S704 - plotly escapes what is in it


class _Forest:
    """Common axis of the log losses' intervals, 0 to 100."""

    def __init__(self, entries: Iterable[Compared]) -> None:
        edges = [
            value
            for one in entries
            for value in (one.score.intervals["log_loss"].low, one.score.intervals["log_loss"].high)
        ]
        known = [value for value in edges if np.isfinite(value)] or [0.0, 1.0]
        self.low = min(known)
        self.high = max(*known, self.low + 1e-9)

    def place(self, value: float) -> float:
        """Place of a log loss; one beyond the axis lies at its end."""
        return float(np.clip(100 * (value - self.low) / (self.high - self.low), 0.0, 100.0))

    def known(self, value: float) -> bool:
        """Whether there is a value to place."""
        return bool(np.isfinite(value))


def _signed(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.3f}"


def _three(value: Any) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"


def _one(value: Any) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.1f}"


def _days(value: Any) -> str:
    return "-" if value is None else f"{value:.1f} d"
