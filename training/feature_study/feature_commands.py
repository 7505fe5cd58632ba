"""The commands ``bearmode features ...``: list, plot and report. Thin, and quick to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.command_line import (
    IntervalOption,
    PathOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
)

__all__ = ["app"]

app = typer.Typer(
    name="features", help="What the catalogue holds, looks like and adds.", no_args_is_help=True
)


@app.command("list")
def list_features(
    group: Annotated[str, typer.Option("--group", help="One group only.", show_default=False)] = "",
) -> None:
    """Name every feature, with its group, unit and formula."""
    from features.catalog import CATALOG  # noqa: PLC0415
    from features.declaration import GROUPS  # noqa: PLC0415
    from features.default_set import DEFAULT_FEATURES  # noqa: PLC0415
    from features.errors import UsageError  # noqa: PLC0415

    if group and group not in GROUPS:
        raise UsageError(f"--group is {group!r}, expected one of {', '.join(GROUPS)}", field="group")
    chosen = set(DEFAULT_FEATURES)
    for feature in CATALOG:
        if group in {"", feature.group}:
            mark = "*" if feature.name in chosen else " "
            typer.echo(f"{mark} {feature.group:<15} {feature.name:<34} {feature.unit}: {feature.words}")
    typer.echo("* read by the default model")


@app.command("plot")
def plot(
    names: Annotated[str, typer.Argument(help="Features, comma-separated; 'all' for each of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the pages.")] = Path("feature-plots"),
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Draw features over the history of some symbols, beside price and hindsight regime."""
    from training.feature_study.feature_plot import main  # noqa: PLC0415

    main(names, out, symbols, source, path, store, interval, since, until)


@app.command("report")
def report(
    out: Annotated[Path, typer.Option("--out", help="HTML page to write.")] = Path("features.html"),
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", help="Groups to leave out and add; all by default.", show_default=False),
    ] = None,
    ablation: Annotated[bool, typer.Option(help="Fit the model without and with each group.")] = True,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Fits of each variant, averaged.")] = 1,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
    ] = None,
) -> None:
    """Say what each feature covers and how it drifts, and what each group adds to the model."""
    from training.feature_study.feature_report_command import feature_report  # noqa: PLC0415
    from training.settings import Places  # noqa: PLC0415

    feature_report(
        symbols,
        Places.load(store=store),
        out=out,
        source=source,
        path=path,
        interval=interval,
        since=since,
        until=until,
        groups=groups,
        ablation=ablation,
        seeds=seeds,
        json=json,
    )
