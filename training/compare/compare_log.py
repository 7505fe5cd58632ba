"""A comparison in MLflow: one parent run, a run for each entry under it, the same metric names in all.

Ticking the nested runs and pressing *Compare* in the UI shows the leaderboard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from features.errors import BearmodeError
from training.compare.comparison import Compared, Comparison
from training.compare.entries import MODEL
from training.compare.leaderboard import as_dict, headline, markdown
from training.compare.plan import Plan, Workbench
from training.environment import environment, environment_tags
from training.evaluation import scored_rows
from training.figures import confusion_figure, reliability_figure
from training.score_figures import delay_figure, parts_figure
from training.settings import Places
from training.tracking import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["CompareLog", "logged_comparison"]

JOB = "compare"
FITTED = "temperature_"
"""Parameters that a fit finds, fold by fold: nobody chose them."""
_OF_TURNS = ("delay_", "missed_turns", "turns", "agreement_within", "false_switches")


class CompareLog:
    """An open parent run.

    Parameters
    ----------
    tracker : Tracker
    run : mlflow.entities.Run
    """

    def __init__(self, tracker: Tracker, run: Run) -> None:
        self.tracker = tracker
        self.run = run

    @property
    def run_id(self) -> str:
        """Id of the parent run."""
        return str(self.run.info.run_id)

    def entry(self, one: Compared, comparison: Comparison) -> None:
        """Log one entry as a run of its own."""
        metrics = {_named(name): value for name, value in {**one.score.metrics(), **one.skill}.items()}
        metrics["time/cpu_seconds"] = one.seconds
        for part, table in (
            ("symbol", one.score.by_symbol),
            ("year", one.score.by_year),
            ("fold", one.score.by_fold),
        ):
            for name, values in table.items():
                for metric in ("log_loss", "macro_f1", "f1_relief_rally"):
                    metrics[f"{part}/{name}/{metric}"] = values[metric]
        metrics |= _difference(one)
        tags = {
            **_tags(comparison.axis, one.name),
            "bearmode/spells": str(one.score.spells),
            "bearmode/market_spells": str(one.score.market_spells),
            "mlflow.note.content": f"{one.entry.words}\n\n{headline(comparison)}\n",
        }
        if one.against is not None:
            tags["bearmode/against_model"] = one.against.verdict
        with self.tracker.run(one.name, parent=self.run) as run:
            fitted = {name: value for name, value in one.parameters.items() if name.startswith(FITTED)}
            parameters: dict[str, object] = {
                "entry": one.name,
                "axis": comparison.axis,
                **{name: value for name, value in one.parameters.items() if name not in fitted},
            }
            metrics |= {f"calibration/{name}": float(str(value)) for name, value in fitted.items()}
            self.tracker.log(run, parameters=parameters, metrics=metrics, tags=tags)
            self.tracker.log_text(run, _figures(one, comparison), "figures.html")

    def failed(self, name: str, error: BearmodeError, axis: str) -> None:
        """Log an entry that failed, with its reason, as a failed run."""
        run = self.tracker.client.create_run(
            self.tracker.experiment_id,
            run_name=name,
            tags={
                "mlflow.parentRunId": self.run_id,
                "bearmode/error": error.one_line()[:4000],
                **_tags(axis, name),
            },
        )
        self.tracker.client.set_terminated(run.info.run_id, "FAILED")

    def comparison(self, comparison: Comparison, page: str) -> None:
        """Log the entries, the leaderboard and the page."""
        for one in comparison.entries:
            self.entry(one, comparison)
        for name, error in comparison.failed.items():
            self.failed(name, error, comparison.axis)
        tags = {"mlflow.note.content": markdown(comparison)}
        if comparison.entries:
            tags["bearmode/spells"] = str(comparison.entries[0].score.spells)
        self.tracker.log(self.run, tags=tags)
        self.tracker.log_text(
            self.run, json.dumps(as_dict(comparison), indent=1, sort_keys=True), "leaderboard.json"
        )
        self.tracker.log_text(self.run, markdown(comparison), "leaderboard.md")
        if page:
            self.tracker.log_text(self.run, page, "compare.html")


@contextmanager
def logged_comparison(places: Places, plan: Plan, bench: Workbench, whose: str) -> Iterator[CompareLog]:
    """Keep the parent run open; it ends FAILED where an error passes through."""
    dataset = bench.dataset
    symbols = ", ".join(dataset.symbols)
    digest = dataset.data_hash()
    tracker = open_tracker(places)
    with tracker.run(f"compare {datetime.now(UTC):%Y-%m-%d %H:%M} {plan.axis} {symbols}"[:120]) as run:
        splits = plan.recipe.splits
        tracker.log(
            run,
            parameters={
                "axis": plan.axis,
                "symbols": ",".join(dataset.symbols),
                "interval": dataset.histories[0].interval,
                "sources": ",".join(sorted({history.source for history in dataset.histories})),
                "first_bar": dataset.time.min().isoformat(),
                "last_bar": dataset.time.max().isoformat(),
                "folds": len(bench.folds),
                "embargo_days": splits.embargo_days,
                "rolling_days": splits.window_days or "expanding",
                "features": len(dataset.features),
                "recipe": plan.recipe.recipe_hash(),
                "whose_recipe": whose,
                "data_hash": digest,
            },
            tags={
                **environment_tags(JOB),
                **_tags(plan.axis, "leaderboard"),
                "bearmode/skipped_folds": "; ".join(bench.skipped),
            },
        )
        tracker.log_dataset(
            run, name=symbols, digest=digest, profile=f'{{"bars": {len(dataset.y)}, "sha256": "{digest}"}}'
        )
        tracker.log_text(run, environment(), "environment.txt")
        yield CompareLog(tracker, run)


def _named(metric: str) -> str:
    """A score under ``oos``; ends of intervals and figures of turns apart, so that the scores stand together.

    Examples
    --------
    >>> _named("log_loss"), _named("log_loss_high"), _named("delay_90_days_bear")
    ('oos/log_loss', 'interval/log_loss_high', 'turns/delay_90_days_bear')
    """
    if metric.endswith(("_low", "_high")):
        return f"interval/{metric}"
    return f"turns/{metric}" if metric.startswith(_OF_TURNS) else f"oos/{metric}"


def _tags(axis: str, entry: str) -> dict[str, str]:
    return {"bearmode/job": JOB, "bearmode/axis": axis, "bearmode/entry": entry}


def _difference(one: Compared) -> Mapping[str, float]:
    found = one.against
    if found is None:
        return {"difference/log_loss": 0.0} if one.name == MODEL else {}
    return {
        "difference/log_loss": found.interval.estimate,
        "difference/low": found.interval.low,
        "difference/high": found.interval.high,
        "difference/market_low": found.market.low,
        "difference/market_high": found.market.high,
        "difference/diebold_mariano_p": found.diebold_mariano.p_value,
    }


def _figures(one: Compared, comparison: Comparison) -> str:
    """All pictures of an entry on one page: with a page each the chart library is there four times."""
    rows = scored_rows(comparison.dataset, one.answers)
    y = comparison.dataset.y[rows]
    figures: list[go.Figure] = [
        parts_figure(one.score),
        delay_figure(one.score.turns),
        confusion_figure(y, one.answers.regime[rows]),
        reliability_figure(one.answers.probabilities[rows], y),
    ]
    drawn = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0) for place, figure in enumerate(figures)
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{one.name}</title></head>'
        f"<body>{''.join(drawn)}</body></html>\n"
    )
