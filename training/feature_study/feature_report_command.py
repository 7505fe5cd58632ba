"""The command ``features report``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from features.errors import UsageError
from features.json_file import write_json
from features.sources import load_histories, parse_date, parse_symbols
from training.feature_study.ablation import Ablation
from training.feature_study.ablation_variants import check_groups
from training.feature_study.feature_findings import FeatureReport
from training.feature_study.feature_report import report_features
from training.feature_study.feature_report_page import write_page
from training.feature_study.feature_report_tables import report_json
from training.progress import step_progress
from training.settings import Places

__all__ = ["feature_report", "parse_groups"]


def feature_report(
    symbols: str,
    places: Places,
    *,
    out: Path = Path("features.html"),
    source: str | None = None,
    path: Path | None = None,
    interval: str = "1h",
    since: str | None = None,
    until: str | None = None,
    groups: str | None = None,
    ablation: bool = True,
    seeds: int = 1,
    json: Path | None = None,
) -> None:
    """Report on the catalogue over some history: a page, MLflow runs, a table in the terminal.

    Parameters
    ----------
    symbols : str
        Comma-separated; empty: all that the source has.
    places : Places
    out : Path
        The page; its folder is made.
    source, path, interval, since, until
        As for :func:`features.sources.load_histories`; the dates as ISO text.
    groups : str, optional
        Comma-separated groups that the ablation is about; all by default.
    ablation : bool
        Without it no model is fitted.
    seeds : int
        Fits averaged for each model.
    json : Path, optional
        File with all tables for programs.

    Raises
    ------
    BearmodeError
        If options or data make no sense; no file is written then.
    """
    chosen = parse_groups(groups)
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}, expected 1 or more", field="seeds")
    start, end = parse_date(since, "since"), parse_date(until, "until")
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--since {since} is not before --until {until}", field="since")
    _check_files(out, json)
    with step_progress() as progress:
        histories = load_histories(
            source,
            parse_symbols(symbols),
            path=path,
            store=places.store,
            interval=interval,
            since=start,
            until=end,
        )
        report = report_features(
            histories, places, groups=chosen, ablation=ablation, seeds=seeds, progress=progress
        )
    if json is not None:
        write_json(json, report_json(report))
    write_page(out, report)
    _show(report)
    typer.echo(f"{out}: open it in a browser; run {report.run_id} in MLflow (bearmode ui)")


def parse_groups(text: str | None) -> tuple[str, ...] | None:
    """Groups from a comma-separated option; ``None``: all.

    Raises
    ------
    UsageError
        For a group that does not exist, or an option that names none.

    Examples
    --------
    >>> parse_groups("volume, trend")
    ('trend', 'volume')
    """
    if text is None:
        return None
    return check_groups([name.strip() for name in text.split(",") if name.strip()])


def _check_files(out: Path, json: Path | None) -> None:
    """Find out before the minutes of work that the files cannot be written."""
    for option, file in (("out", out), ("json", json)):
        if file is None:
            continue
        if file.is_dir():
            raise UsageError(f"--{option} {file} is a folder, expected a file", field=option)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--{option} {file} cannot be written: {error.strerror or error}", field=option
            ) from error
        if not os.access(file.parent, os.W_OK):
            raise UsageError(f"--{option} {file} cannot be written: no right to its folder", field=option)
    if json is not None and json.absolute() == out.absolute():
        raise UsageError(f"--json and --out both name {json}", field="json")


def _show(report: FeatureReport) -> None:
    console = Console(width=118)
    _show_tables(console, report)
    if report.ablation is not None:
        _show_ablation(console, report.ablation)


def _show_tables(console: Console, report: FeatureReport) -> None:
    empty = [name for name, there in zip(report.sample.names, report.sample.valued, strict=True) if not there]
    typer.echo(f"{len(report.sample.names)} features over {len(report.sample.rows):,} rows")
    if empty:
        console.print(Text(f"without any value here: {', '.join(empty)}"))
    for one in report.relations.clusters:
        console.print(Text(f"say the same (above {one.smallest:.2f}): {', '.join(one.features)}"))


def _show_ablation(console: Console, ablation: Ablation) -> None:
    reference = ablation.models[0]
    title = (
        f"Log loss out of fold; {reference.variant.name}: {reference.scores['log_loss']:.4f}; "
        f"{ablation.rows:,} rows of {ablation.spells} spells, {ablation.seeds} fits each"
    )
    table = Table(title=title, title_justify="left")
    for name, side in _COLUMNS:
        table.add_column(name, justify=side)
    for model, one in ablation.of_kind(*_KINDS):
        table.add_row(
            Text(model.variant.name),
            f"{len(model.variant.features)}",
            f"{model.scores['log_loss']:.4f}",
            f"{one.spells.estimate:+.4f}",
            f"{one.spells.low:+.4f} to {one.spells.high:+.4f}",
            f"{sum(value < 0 for value in one.folds.values())}/{len(one.folds)}",
            one.verdict,
        )
    console.print(table)


_KINDS = ("reseeded", "without", "added", "everything", "base", "alone")
_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("model", "left"),
    ("features", "right"),
    ("log loss", "right"),
    ("difference", "right"),
    ("95 % over spells", "right"),
    ("folds better", "right"),
    ("the model is", "left"),
)
