"""How a model decays: models of monthly cuts answer the same bars, from fresh to a year old.

Needs a champion that was trained on the real history, for its recipe and the temperatures of its folds.
Every scored bar is answered by the models of twelve months, so that the ages are compared on the same
bars: a half-year that was hard is hard for all of them. About six minutes of one core.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.results import MARKET, report
from features.bars import FloatArray
from features.history import History
from features.sources import load_files
from serving.bundle import Bundle
from training.bootstrap import BlockBootstrap, Interval
from training.dataset import Dataset, build_dataset, spell_weights
from training.models.boosted_logistic import BoostedLogistic, softmax
from training.promotion import load_champion, walk_forward_folder
from training.recipe import Recipe
from training.settings import Places

SINCE, UNTIL = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")
AGES = 12
MONTH = 30.0
Table = npt.NDArray[np.float64]


def temperatures(folder: Path) -> dict[pd.Timestamp, float]:
    """Temperature of each fold's model, by the fold's start."""
    return {
        pd.Timestamp(f"{path.name}-01", tz="UTC"): Bundle(path).manifest.temperature
        for path in sorted(folder.iterdir())
    }


def losses_by_age(dataset: Dataset, recipe: Recipe, known: dict[pd.Timestamp, float]) -> Table:
    """Log loss of each bar under models of each age, shape (n_bars, 12); NaN where none had that age."""
    found = np.full((len(dataset.y), AGES), np.nan)
    for start in pd.date_range(SINCE - pd.DateOffset(months=6), UNTIL, freq="MS"):
        cut = start - pd.Timedelta(days=recipe.splits.embargo_days)
        train = np.flatnonzero(dataset.usable & np.asarray(dataset.confirmed_at < cut))
        weight = spell_weights(dataset.y[train], dataset.spell[train], recipe.spell_power)
        model = BoostedLogistic(recipe.boosting).fit(dataset.X[train], dataset.y[train], weight)
        age = np.asarray((dataset.time - start) / pd.Timedelta(days=1))
        inside = dataset.usable & (age >= 0) & (age < AGES * MONTH) & np.asarray(dataset.time >= SINCE)
        rows = np.flatnonzero(inside)
        if len(rows):
            temperature = known[max((one for one in known if one <= start), default=min(known))]
            p = softmax(model.log_odds(dataset.X[rows]) / temperature)
            loss = -np.log(np.clip(p[np.arange(len(rows)), dataset.y[rows]], 1e-15, 1.0))
            found[rows, (age[rows] // MONTH).astype(np.int64)] = loss
        print(f"{start:%Y-%m}: {len(train):,} rows learned, {len(rows):,} answered", flush=True)
    return found


def table(loss: Table, spell: npt.NDArray[np.int64]) -> list[tuple[float, Interval | None]]:
    """Log loss by age, and its difference to the youngest on the same bars, by spell."""
    bootstrap = BlockBootstrap(spell)
    return [
        (
            float(loss[:, age].mean()),
            None if age == 0 else bootstrap.mean_difference(loss[:, age], loss[:, 0]),
        )
        for age in range(loss.shape[1])
    ]


def figure(rows: list[tuple[float, Interval | None]], embargo: float, file: Path) -> None:
    """Draw the difference by age with its interval."""
    import plotly.graph_objects as go  # noqa: PLC0415

    found = [interval for _, interval in rows if interval is not None]
    age = [embargo + MONTH * (index + 1.5) for index in range(len(found))]
    middle: FloatArray = np.array([one.estimate for one in found])
    drawn = go.Figure(
        go.Scatter(
            x=age,
            y=middle,
            error_y={
                "type": "data",
                "array": [one.high - one.estimate for one in found],
                "arrayminus": [one.estimate - one.low for one in found],
            },
            mode="markers+lines",
        )
    )
    drawn.add_hline(y=0.0, line_dash="dot")
    drawn.update_layout(
        title="Log loss above that of a model up to a month old, on the same bars (95 % by spell)",
        xaxis_title="age of the model, days since the end of its training data",
        yaxis_title="log loss, nats",
        template="plotly_white",
    )
    drawn.write_html(file, include_plotlyjs=True)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures for programs")
    parser.add_argument("--figure", type=Path, help="write the figure as a page")
    chosen = parser.parse_args()
    if not MARKET.is_dir():
        print(f"skipped: {MARKET} is not there")
        return
    champion = load_champion(Places.load().bundles)
    recipe = Recipe.from_dict(dict(champion.manifest.recipe))
    histories = [
        history.part(0, int((history.time < UNTIL).sum()))
        for history in map(History.from_raw, load_files(Path(MARKET), champion.manifest.symbols))
    ]
    dataset = build_dataset(histories, recipe.selected())
    loss = losses_by_age(dataset, recipe, temperatures(walk_forward_folder(champion.bundle.folder)))
    embargo = recipe.splits.embargo_days
    figures: dict[str, object] = {"champion": champion.version}
    # Models of 2021 learned from little; the later half shows age without that.
    spans = (("all", SINCE, UNTIL), ("since 2023-07", pd.Timestamp("2023-07-01", tz="UTC"), UNTIL))
    for name, since, until in spans:
        rows = np.isfinite(loss).all(axis=1) & np.asarray((dataset.time >= since) & (dataset.time < until))
        found = table(loss[rows], dataset.spell[rows])
        figures[f"{name}: bars answered at all ages, spells"] = [
            int(rows.sum()),
            len(np.unique(dataset.spell[rows])),
        ]
        edges = [embargo + MONTH * index for index in range(AGES + 1)]
        for (low, high), (mean, difference) in zip(pairwise(edges), found, strict=True):
            figures[f"{name}: {low:.0f} to {high:.0f} days"] = f"{mean:.4f}" + (
                ""
                if difference is None
                else f"  {difference.estimate:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
            )
        if chosen.figure is not None and name == "all":
            figure(found, embargo, chosen.figure)
    report("model age", figures, chosen.json)


if __name__ == "__main__":
    main()
