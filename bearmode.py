"""The command line: one thin command per job.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing usable in the data, 4 the gate refused,
5 somebody else holds the lock. ``--debug`` anywhere shows tracebacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from features.command_line import (
    IntervalOption,
    NoPromoteOption,
    PathOption,
    SchedulerOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    WorkersOption,
    run,
)
from training.feature_commands import app as feature_commands

app = typer.Typer(
    name="bearmode",
    help="Which regime a perpetual future is in, and what to do with that: bias and leverage.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.add_typer(feature_commands)

OutOption = Annotated[Path, typer.Option("--out", help="Parquet file to write.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
]
ArchiveUrlOption = Annotated[
    str | None,
    typer.Option(
        "--archive-url",
        help="A mirror of the Binance public archive; BEARMODE_ARCHIVE_URL.",
        show_default=False,
    ),
]
ExchangeUrlOption = Annotated[
    str | None,
    typer.Option(
        "--exchange-url",
        help="In place of the exchange's own base URL; BEARMODE_EXCHANGE_URL.",
        show_default=False,
    ),
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="This bundle instead of the champion.", show_default=False)
]


@app.command()
def fetch(
    source: Annotated[
        str | None,
        typer.Option("--source", help="archive, exchange, files or simulated.", show_default=False),
    ] = None,
    symbols: SymbolsOption = "",
    path: PathOption = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="Names in your files: bars.open_time=ts,bars.close=last,...",
            show_default=False,
        ),
    ] = None,
    archive_url: ArchiveUrlOption = None,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", help="binanceusdm (the default), okx or bybit.", show_default=False),
    ] = None,
    exchange_url: ExchangeUrlOption = None,
    signal: Annotated[
        list[str] | None,
        typer.Option("--signal", help="fear_greed, or name=FILE; may be repeated.", show_default=False),
    ] = None,
    available_after: Annotated[
        str | None,
        typer.Option(
            "--available-after",
            help="How long after its stamp a value of --signal name=FILE was known: 1d, 8h.",
            show_default=False,
        ),
    ] = None,
    stale_after: Annotated[
        str | None,
        typer.Option(
            "--stale-after",
            help="Age at which a value of --signal name=FILE joins no bar any more; 2d by default.",
            show_default=False,
        ),
    ] = None,
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Ask for every checksum again, not only the newest.")
    ] = False,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    json: JsonOption = None,
) -> None:
    """Bring history into the store."""
    from training.fetch import fetch as job
    from training.settings import Places

    job(
        source,
        symbols,
        Places.load(store=store, archive_url=archive_url, exchange_url=exchange_url),
        path=path,
        interval=interval,
        since=since,
        until=until,
        exchange=exchange,
        columns=columns,
        signals=signal or (),
        available_after=available_after,
        stale_after=stale_after,
        recheck=recheck,
        workers=workers,
        scheduler=scheduler,
        json=json,
    )


@app.command()
def update(
    symbols: Annotated[str, typer.Argument(help="Comma-separated; all of the store by default.")] = "",
    store: StoreOption = None,
    archive_url: ArchiveUrlOption = None,
    exchange_url: ExchangeUrlOption = None,
    until: UntilOption = None,
    archive: Annotated[bool, typer.Option(help="Ask the archive for whole past days.")] = True,
    exchange: Annotated[bool, typer.Option(help="Ask the exchange for what is newer.")] = True,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    json: JsonOption = None,
) -> None:
    """Bring every symbol of the store up to now."""
    from training.settings import Places
    from training.update import update as job

    job(
        symbols,
        Places.load(store=store, archive_url=archive_url, exchange_url=exchange_url),
        until=until,
        archive=archive,
        exchange=exchange,
        workers=workers,
        scheduler=scheduler,
        json=json,
    )


@app.command()
def audit(
    symbols: Annotated[str, typer.Argument(help="Comma-separated; all of the store by default.")] = "",
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page with a picture of coverage.", show_default=False),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Compare with another source: files (with --path), simulated, or a store.",
            show_default=False,
        ),
    ] = None,
    path: PathOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    json: JsonOption = None,
) -> None:
    """Examine the store: coverage, gaps, outliers, staleness, disagreement."""
    from training.audit_command import audit as job
    from training.settings import Places

    job(
        symbols,
        Places.load(store=store),
        interval=interval,
        json=json,
        html=html,
        against=against,
        path=path,
        workers=workers,
        scheduler=scheduler,
    )


@app.command()
def history(
    symbol: str,
    out: OutOption,
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    json: JsonOption = None,
) -> None:
    """Write the joined table of a symbol, and print its gap ledger."""
    from training.history_command import write_history
    from training.settings import Places

    places = Places.load(store=store)
    write_history(symbol, out, source, path, places, interval, since, until, json)


@app.command()
def regimes(
    symbol: str,
    out: OutOption,
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    until: UntilOption = None,
    json: JsonOption = None,
) -> None:
    """Write the hindsight regimes of a symbol; null where not confirmed."""
    from training.history_command import write_regimes
    from training.settings import Places

    write_regimes(symbol, out, source, path, Places.load(store=store), interval, until, json)


@app.command()
def train(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    no_promote: NoPromoteOption = False,
    json: JsonOption = None,
) -> None:
    """Train on history, prove the model, register it, make it the champion."""
    from training.train import main as job

    job(symbols, source, path, store, interval, since, until, no_promote, json)


@app.command()
def replay(
    out: OutOption,
    since: Annotated[str, typer.Option("--since", help="ISO date, UTC: first bar close, included.")],
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    until: UntilOption = None,
    walk_forward: Annotated[
        bool,
        typer.Option("--walk-forward", help="Answer with the fold's model that could have existed then."),
    ] = False,
    bundle: BundleOption = None,
    json: JsonOption = None,
) -> None:
    """Write what the endpoint would have answered at each bar."""
    from training.replay_command import replay_command
    from training.settings import Places

    places = Places.load(store=store)
    replay_command(
        symbols, out, source, path, places, since, until, walk_forward=walk_forward, bundle=bundle, json=json
    )


@app.command()
def predict(
    symbol: str,
    store: StoreOption = None,
    source: SourceOption = None,
    path: PathOption = None,
    bundle: BundleOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="ISO time, UTC: answer as of then; now by default.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Answer for a symbol's newest bar, without a server."""
    from training.predict_command import predict_command
    from training.settings import Places

    predict_command(symbol, Places.load(store=store), source, path, bundle, as_of, json)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option("--port", help="3000 by default; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="127.0.0.1 by default.")] = None,
    bundle: BundleOption = None,
) -> None:
    """Serve the champion over HTTP, in the foreground."""
    from serving.server import serve as job
    from training.settings import Places

    raise typer.Exit(job(host=host, port=port, bundle=bundle, bundles_dir=Places.load().bundles))


@app.command()
def ui(port: Annotated[int, typer.Option("--port")] = 5000) -> None:
    """Open MLflow's UI on the experiments, on loopback."""
    from training.settings import Places
    from training.ui import serve_ui

    serve_ui(Places.load(), port)


@app.command()
def demo(json: JsonOption = None) -> None:
    """Simulated market to served answer: the main job from end to end."""
    from training.demo import run_demo
    from training.settings import Places

    run_demo(Places.load(), json)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
