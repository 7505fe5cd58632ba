"""The command ``replay``: load history and models, write the file."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.status import Status

from features.context import with_context
from features.errors import NothingUsableError, UsageError
from features.history import History
from features.parquet import write_parquet
from features.sources import load_raw, parse_date, parse_symbols
from features.sources.context_closes import load_closes
from serving.bundle import write_json
from training.replay import context_symbols, replay, replay_models
from training.settings import Places

__all__ = ["replay_command"]


def replay_command(
    symbols: str,
    out: Path,
    source: str | None,
    path: Path | None,
    places: Places,
    since: str,
    until: str | None,
    *,
    walk_forward: bool,
    bundle: Path | None = None,
    json: Path | None = None,
) -> None:
    """Replay some symbols into a Parquet file.

    Raises
    ------
    NothingUsableError
        If no symbol has a bar in the span.
    """
    start, end = parse_date(since, "since"), parse_date(until, "until")
    if start is None or (end is not None and start >= end):
        raise UsageError(f"--since {since} is not before --until {until}", field="since")
    models = replay_models(places.bundles, walk_forward=walk_forward, bundle=bundle)
    interval = models[0].predictor.manifest.interval
    raw = load_raw(source, parse_symbols(symbols), path=path, store=places.store, interval=interval)
    histories = []
    for market in raw:
        history = History.from_raw(market)
        if (end is not None and history.time[0] >= end) or history.time[-1] < start:
            typer.echo(
                f"warning: {history.symbol} has no bars in the span; it has {history.time[0]:%Y-%m-%d} to "
                f"{history.time[-1]:%Y-%m-%d}",
                err=True,
            )
        else:
            histories.append(history)
    if not histories:
        raise NothingUsableError("no symbol has a bar in the span", field="since")
    universe = context_symbols(models)
    others = [name for name in universe if name not in {history.symbol for history in histories}]
    closes = load_closes(source, others, path=path, store=places.store, interval=interval)
    histories = with_context(histories, universe, closes)
    with Status("replaying", console=Console(stderr=True)) as status:
        frame = replay(
            histories,
            models,
            since=start,
            until=end,
            progress=lambda name: status.update(f"replaying {name}"),
        )
    write_parquet(frame, out)
    answered = int(frame["regime"].notna().sum())
    if json is not None:
        unanswered = frame.loc[frame["regime"].isna(), "reason"].value_counts()
        write_json(
            json,
            {
                "bars": len(frame),
                "answered": answered,
                "in_sample": int(frame["in_sample"].sum()),
                "reasons": {str(reason): int(count) for reason, count in unanswered.items()},
                "models": sorted(set(frame["model_version"].dropna())),
            },
        )
    typer.echo(
        f"{out}: {len(frame):,} bars, {answered:,} answered, {int(frame['in_sample'].sum()):,} in sample"
    )
    for reason, count in frame.loc[frame["regime"].isna(), "reason"].value_counts().items():
        typer.echo(f"  {count:,} not answered: {reason}")
