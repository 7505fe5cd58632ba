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
from features.completion import complete_symbol, complete_symbols
from serving.keys_commands import app as key_commands
from serving.live.webhook_commands import app as webhook_commands
from training.data.tiers_commands import app as tiers_commands
from training.feature_study.feature_commands import app as feature_commands
from training.retrain_options import (
    DryRunOption,
    EveryOption,
    FitWorkersOption,
    FreshOption,
    NoUpdateOption,
    RecipeOption,
)

app = typer.Typer(
    name="bearmode",
    help="Which regime a perpetual future is in, and what to do with that: bias and leverage.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

app.add_typer(feature_commands)
app.add_typer(tiers_commands)
app.add_typer(key_commands)
app.add_typer(webhook_commands)

SymbolArgument = Annotated[str, typer.Argument(autocompletion=complete_symbol)]
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
    from training.data.fetch import fetch as job
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
    symbols: Annotated[
        str,
        typer.Argument(help="Comma-separated; all of the store by default.", autocompletion=complete_symbols),
    ] = "",
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
    from training.data.update import update as job
    from training.settings import Places

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
    symbols: Annotated[
        str,
        typer.Argument(help="Comma-separated; all of the store by default.", autocompletion=complete_symbols),
    ] = "",
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
    from training.data.audit_command import audit as job
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
    symbol: SymbolArgument,
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
    from training.data.history_command import write_history
    from training.settings import Places

    places = Places.load(store=store)
    write_history(symbol, out, source, path, places, interval, since, until, json)


@app.command()
def regimes(
    symbol: SymbolArgument,
    out: OutOption,
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    until: UntilOption = None,
    json: JsonOption = None,
) -> None:
    """Write the hindsight regimes of a symbol; null where not confirmed."""
    from training.data.history_command import write_regimes
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
    recipe: RecipeOption = None,
    workers: FitWorkersOption = None,
    scheduler: SchedulerOption = None,
    json: JsonOption = None,
) -> None:
    """Train on history, prove the model, register it, make it the champion."""
    from training.train import main as job

    job(symbols, source, path, store, interval, since, until, no_promote, json, recipe, workers, scheduler)


@app.command()
def compare(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    models: Annotated[
        str | None,
        typer.Option("--models", help="Entries, comma-separated; all by default.", show_default=False),
    ] = None,
    axis: Annotated[
        str, typer.Option("--axis", help="What is tested: time (later half-years), symbols (unseen), both.")
    ] = "time",
    rolling: Annotated[
        float | None,
        typer.Option(
            "--rolling", help="Days of the training window; expanding by default.", show_default=False
        ),
    ] = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the leaderboard as a page.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Score the model beside every baseline, on the same folds."""
    from training.compare.compare_command import compare_command
    from training.settings import Places

    compare_command(
        symbols,
        Places.load(store=store),
        source=source,
        path=path,
        interval=interval,
        since=since,
        until=until,
        models=models,
        axis=axis,
        rolling=rolling,
        workers=workers,
        scheduler=scheduler,
        json=json,
        page=page,
    )


@app.command()
def tune(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Settings to try, in all.")] = 30,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="No trial begins after so long.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="File of the recipe to begin with.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the recipe is written.", show_default=False)
    ] = None,
    nested: Annotated[
        bool,
        typer.Option("--nested", help="Measure the search: every fold searches for itself."),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Search for better settings inside the training rows; goes on where a search was killed."""
    from training.settings import Places
    from training.tuning.tune_command import tune_command

    tune_command(
        symbols,
        Places.load(store=store),
        source,
        path,
        interval=interval,
        since=since,
        until=until,
        trials=trials,
        minutes=minutes,
        recipe=recipe,
        out=out,
        nested=nested,
        json=json,
    )


@app.command()
def journal(
    last: Annotated[
        int | None, typer.Option("--last", min=1, help="Only the newest entries.", show_default=False)
    ] = None,
    entry: Annotated[
        int | None,
        typer.Option("--entry", min=1, help="One entry, with every check of the gate.", show_default=False),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Show every promotion, refusal and rollback, with the reason."""
    from training.retraining.commands import journal_command
    from training.settings import Places

    journal_command(Places.load(), last, entry, json)


@app.command()
def rollback(
    version: Annotated[
        str | None,
        typer.Argument(help="An installed bundle; the champion before by default.", show_default=False),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Make an earlier bundle the champion again, once it has proven itself."""
    from training.retraining.commands import rollback_command
    from training.settings import Places

    rollback_command(Places.load(), version, json)


@app.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many of the newest bundles stay.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say only.")] = False,
    runs: Annotated[
        bool, typer.Option("--runs", help="Mark the MLflow runs of what is removed deleted.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Remove old bundles; never the champion, nor the one before it."""
    from training.retraining.commands import prune_command
    from training.settings import Places

    prune_command(Places.load(), keep, dry_run=dry_run, runs=runs, json=json)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="New file, .tar.zst or .tar.gz.")],
    json: JsonOption = None,
) -> None:
    """Write bundles, champion, journal and MLflow's database into one file, while all goes on."""
    from training.retraining.commands import backup_command
    from training.settings import Places

    backup_command(Places.load(), file, json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'backup' wrote.")],
    into: Annotated[Path, typer.Option("--into", help="New or empty folder.")],
    json: JsonOption = None,
) -> None:
    """Unpack a backup and prove its champion; overwrites nothing."""
    from training.retraining.commands import restore_command

    restore_command(file, into, json)


@app.command()
def retrain(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    no_update: NoUpdateOption = False,
    no_promote: NoPromoteOption = False,
    recipe: RecipeOption = None,
    dry_run: DryRunOption = False,
    fresh: FreshOption = False,
    every: EveryOption = None,
    workers: FitWorkersOption = None,
    scheduler: SchedulerOption = None,
    json: JsonOption = None,
) -> None:
    """Update, train, judge, and promote what is better; goes on where a run was killed."""
    from training.retrain import main as job

    job(
        symbols,
        source,
        path,
        store,
        interval,
        since,
        until,
        no_update,
        no_promote,
        recipe,
        dry_run,
        fresh,
        every,
        json,
        workers,
        scheduler,
    )


@app.command()
def shadow(
    version: Annotated[
        str | None, typer.Argument(help="Of the challenger; the newest by default.", show_default=False)
    ] = None,
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    json: JsonOption = None,
) -> None:
    """Compare a challenger with the champion on bars that neither has seen."""
    from training.settings import Places
    from training.shadow import shadow_command

    places = Places.load(store=store)
    shadow_command(version, symbols, places, source=source, path=path, since=since, until=until, json=json)


@app.command()
def reproduce(
    run: Annotated[str, typer.Argument(metavar="RUN", help="MLflow run id, or a bundle's version.")],
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
) -> None:
    """Make a run's bundle again, and say what differs; 0 only if the bytes are the same."""
    from training.reproduce import reproduce_command
    from training.settings import Places

    reproduce_command(run, Places.load(store=store), source=source, path=path, json=json)


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
def survival(
    symbol: SymbolArgument,
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    interval: IntervalOption = "1h",
    since: SinceOption = None,
    until: UntilOption = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="A walk-forward replay file; made by default.", show_default=False),
    ] = None,
    exchange: Annotated[
        str, typer.Option("--exchange", help="Whose margin rules: binance or okx.")
    ] = "binance",
    notional: Annotated[
        float, typer.Option("--notional", help="Of each position, quote currency: decides the tier.")
    ] = 1_000.0,
    days: Annotated[int, typer.Option("--days", help="Shown in the terminal: 1, 3, 7 or 30.")] = 7,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the heat maps as a page.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write a small SVG.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Measure how often positions were liquidated, by side, leverage and regime."""
    from training.settings import Places
    from training.survival.survival_command import survival_command

    survival_command(
        symbol,
        Places.load(store=store),
        source=source,
        path=path,
        interval=interval,
        since=since,
        until=until,
        replay=replay,
        exchange=exchange,
        notional=notional,
        days=days,
        json=json,
        page=page,
        picture=picture,
    )


@app.command()
def backtest(
    symbols: SymbolsOption = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            help="A file of replay --walk-forward; made from the champion's folds by default.",
            show_default=False,
        ),
    ] = None,
    strategies: Annotated[
        str | None,
        typer.Option("--strategies", help="Comma-separated; all by default.", show_default=False),
    ] = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Also later orders, dearer slippage and funding, gaps.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write the results as a page.", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> None:
    """Walk accounts through history: the advice, and what people do without it."""
    from training.backtest import backtest_command
    from training.settings import Places

    backtest_command(
        symbols,
        Places.load(store=store),
        source=source,
        path=path,
        since=since,
        until=until,
        replayed=replay,
        named=strategies,
        stress=stress,
        page=page,
        json=json,
    )


@app.command()
def predict(
    symbols: Annotated[
        str,
        typer.Argument(help="One symbol, or several, comma-separated.", autocompletion=complete_symbols),
    ],
    store: StoreOption = None,
    source: SourceOption = None,
    path: PathOption = None,
    bundle: BundleOption = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="ISO time, UTC: answer as of then; now by default.")
    ] = None,
    equity: Annotated[
        float | None,
        typer.Option("--equity", help="Of the account, quote currency: gives sizes.", show_default=False),
    ] = None,
    risk_per_trade: Annotated[
        float | None,
        typer.Option(
            "--risk-per-trade", help="Share of equity at risk; 0.01 by default.", show_default=False
        ),
    ] = None,
    leverage_cap: Annotated[
        float | None, typer.Option("--leverage-cap", help="May only lower 5.", show_default=False)
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", help="binance (the default) or okx: margin rules.", show_default=False),
    ] = None,
    position: Annotated[
        str | None,
        typer.Option("--position", help="Open now: side:notional:entry:leverage[:paid].", show_default=False),
    ] = None,
    portfolio_risk: Annotated[
        float | None,
        typer.Option(
            "--portfolio-risk",
            help="Of several symbols: share of equity at risk in all; 0.04 by default.",
            show_default=False,
        ),
    ] = None,
    portfolio_gross: Annotated[
        float | None,
        typer.Option(
            "--portfolio-gross", help="Positions in all over equity; 3 by default.", show_default=False
        ),
    ] = None,
    portfolio_margin: Annotated[
        float | None,
        typer.Option(
            "--portfolio-margin", help="Share of equity as margin; 0.5 by default.", show_default=False
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Answer for the newest bar, without a server; of several symbols what they add up to."""
    from training.account_options import account_of, caps_of
    from training.predict_command import predict_command
    from training.settings import Places

    account = account_of(equity, risk_per_trade, leverage_cap, exchange, position)
    caps = caps_of(portfolio_risk, portfolio_gross, portfolio_margin)
    places = Places.load(store=store)
    predict_command(symbols, places, source, path, bundle, as_of, json, account=account, caps=caps)


@app.command()
def openapi(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; standard output by default.", show_default=False),
    ] = None,
) -> None:
    """Write the OpenAPI 3.1 document of the service."""
    from serving.openapi_command import openapi_command

    openapi_command(out)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option("--port", help="3000 by default; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="127.0.0.1 by default.")] = None,
    bundle: BundleOption = None,
    live: Annotated[
        str | None,
        typer.Option("--live", help="Keep these symbols up to date and watch them.", show_default=False),
    ] = None,
    live_source: Annotated[
        str | None,
        typer.Option(
            "--live-source", help="exchange (the default), archive, files or simulated.", show_default=False
        ),
    ] = None,
    live_exchange: Annotated[
        str | None,
        typer.Option("--live-exchange", help="binanceusdm (the default), okx or bybit.", show_default=False),
    ] = None,
    live_path: Annotated[
        Path | None,
        typer.Option("--live-path", help="Folder, for --live-source files.", show_default=False),
    ] = None,
    webhook: Annotated[
        list[str] | None,
        typer.Option(
            "--webhook", help="NAME=URL that is told of changes; may be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """Serve the champion over HTTP, in the foreground."""
    from serving.live.options import live_options
    from serving.server import serve as job
    from training.settings import Places

    watching = live_options(live, live_source, live_exchange, live_path, webhook)
    raise typer.Exit(
        job(host=host, port=port, bundle=bundle, bundles_dir=Places.load().bundles, live=watching)
    )


@app.command()
def health(
    symbols: Annotated[
        str, typer.Argument(help="Comma-separated; by default those that the model was trained on.")
    ] = "",
    source: SourceOption = None,
    path: PathOption = None,
    store: StoreOption = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="ISO time, UTC: look no later than this; now by default."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions", help="Folder of the prediction log; the setting by default.", show_default=False
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Examine the champion: data, age, drift, and how it did on labels confirmed since."""
    from training.health.health_command import health_command
    from training.settings import Places

    health_command(symbols, Places.load(store=store), source, path, as_of, json, predictions)


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
