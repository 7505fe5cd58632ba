"""The report on features in MLflow: one run, in it one run for each model, the tables and the page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from training.environment import environment, environment_tags
from training.feature_study.ablation import Ablated, Difference
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_report_page import render_page
from training.feature_study.feature_report_tables import report_tables
from training.feature_study.feature_sample import FeatureSample
from training.settings import Places
from training.tracking import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["ReportLog", "logged_report"]


class ReportLog:
    """An open run of the report.

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
        """Id of the run."""
        return str(self.run.info.run_id)

    def model(self, one: Ablated, difference: Difference | None) -> None:
        """Log a model of the ablation as a run of its own, as soon as it is scored."""
        metrics = {f"oos/{name}": value for name, value in one.scores.items()}
        metrics |= {f"calibration/temperature_{name}": value for name, value in one.temperatures.items()}
        if difference is not None:
            spells, calendar = difference.spells, difference.calendar
            metrics |= {
                "difference/log_loss": spells.estimate,
                "difference/low": spells.low,
                "difference/high": spells.high,
                "difference/calendar_low": calendar.low,
                "difference/calendar_high": calendar.high,
            }
            metrics |= {f"difference/fold_{name}": value for name, value in difference.folds.items()}
            metrics |= {f"difference/symbol_{name}": value for name, value in difference.symbols.items()}
        variant = one.variant
        with self.tracker.run(variant.name, parent=self.run) as run:
            self.tracker.log(
                run,
                parameters={
                    "kind": variant.kind,
                    "group": variant.group or "",
                    "against": variant.against or "",
                    "features": len(variant.features),
                },
                metrics=metrics,
                tags={} if difference is None else {"bearmode/verdict": difference.verdict},
            )
            self.tracker.log_text(run, "\n".join(variant.features) + "\n", "features.txt")

    def report(self, report: FeatureReport) -> None:
        """Log scores, tables and page of the whole report."""
        if report.ablation is not None:
            default = report.ablation.models[0]
            metrics = {f"oos/{name}": value for name, value in default.scores.items()}
            metrics["oos/spells"] = float(report.ablation.spells)
            metrics["difference/seed_noise"] = report.ablation.seed_noise
            for _, one in report.ablation.of_kind("without", "added", "alone", "everything", "base"):
                metrics[f"difference/{one.variant.replace('+', 'plus').replace(' - ', ' minus ')}"] = (
                    one.spells.estimate
                )
            self.tracker.log(self.run, metrics=metrics)
        with tempfile.TemporaryDirectory(prefix="bearmode-features-") as folder:
            for name, table in report_tables(report).items():
                table.to_csv(Path(folder) / f"{name}.csv", index=False, lineterminator="\n")
            self.tracker.log_folder(self.run, Path(folder), "tables")
        self.tracker.log_text(self.run, render_page(report), "features.html")
        self.tracker.log_text(self.run, environment(), "environment.txt")


@contextmanager
def logged_report(
    places: Places, sample: FeatureSample, parameters: Mapping[str, object]
) -> Iterator[ReportLog]:
    """Keep the run of a report open; it ends FAILED where an error passes through."""
    dataset = sample.dataset
    symbols = ", ".join(dataset.symbols)
    digest = dataset.data_hash()
    tracker = open_tracker(places)
    with tracker.run(f"features {datetime.now(UTC):%Y-%m-%d %H:%M} {symbols}"[:120]) as run:
        tracker.log(
            run,
            parameters={
                "symbols": ",".join(dataset.symbols),
                "interval": dataset.histories[0].interval,
                "sources": ",".join(sorted({history.source for history in dataset.histories})),
                "first_bar": dataset.time.min().isoformat(),
                "last_bar": dataset.time.max().isoformat(),
                "catalogue": len(sample.features),
                "data_hash": digest,
                **parameters,
            },
            tags={
                **environment_tags(),
                "bearmode/job": "features report",
                "mlflow.source.name": "bearmode features report",
            },
        )
        tracker.log_dataset(
            run, name=symbols, digest=digest, profile=f'{{"bars": {len(dataset.y)}, "sha256": "{digest}"}}'
        )
        yield ReportLog(tracker, run)
