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
    PathOption,
    SinceOption,
    SourceOption,
    StoreOption,
    SymbolsOption,
    UntilOption,
    run,
)

app = typer.Typer(
    name="bearmode",
    help="Which regime a perpetual future is in, and what to do with that: bias and leverage.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

OutOption = Annotated[Path, typer.Option("--out", help="Parquet file to write.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result for programs.", show_default=False)
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="This bundle instead of the champion.", show_default=False)
]


@app.command()
def fetch(
    source: Annotated[str, typer.Option("--source", help="files or simulated.")],
    symbols: SymbolsOption = "",
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    json: JsonOption = None,
) -> None:
    """Bring history into the store."""
    from training.fetch import fetch as job
    from training.settings import Places

    job(
        source,
        symbols,
        Places.load(store=store),
        path=path,
        interval=interval,
        since=since,
        until=until,
        json=json,
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
    from training.fetch import write_history
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
    from training.fetch import write_regimes
    from training.settings import Places

    write_regimes(symbol, out, source, path, Places.load(store=store), interval, until, json)


def _train() -> None:
    from training.train import main as train

    app.command("train")(train)


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
    _train()
    run(app)


if __name__ == "__main__":
    main()
