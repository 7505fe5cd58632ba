"""The command ``predict``: the answer for a symbol's newest bar, without a server."""

from __future__ import annotations

import json as json_module
from pathlib import Path

import pandas as pd
import typer

from features.context import with_context
from features.errors import NothingUsableError
from features.sources import load_histories, parse_date
from features.sources.context_closes import load_closes
from serving.bundle import write_json
from serving.predictor import Predictor
from training.data.history_command import one_symbol
from training.promotion import load_champion
from training.settings import Places
from training.words import read_out

__all__ = ["predict_command"]


def predict_command(
    symbol: str,
    places: Places,
    source: str | None = None,
    path: Path | None = None,
    bundle: Path | None = None,
    as_of: str | None = None,
    json: Path | None = None,
) -> None:
    """Print the answer: words to stderr, the JSON body to stdout.

    Raises
    ------
    BearmodeError
        If there is no model, no history, or too little of it.
    """
    predictor = load_champion(places.bundles) if bundle is None else Predictor.load(bundle)
    moment = parse_date(as_of, "as-of")
    (history,) = load_histories(
        source,
        one_symbol(symbol),
        path=path,
        store=places.store,
        interval=predictor.manifest.interval,
    )
    if moment is not None:
        keep = int((history.time <= moment).sum())
        if not keep:
            raise NothingUsableError(
                f"{symbol}: no bar closes by {moment}, the first one at {history.time[0]}", field="as-of"
            )
        history = history.window(keep - 1, keep)
    universe = predictor.manifest.context_symbols
    others = [name for name in universe if name != history.symbol]
    closes = load_closes(source, others, path=path, store=places.store, interval=predictor.manifest.interval)
    (history,) = with_context([history], universe, closes)
    answer = predictor.answer(history, as_of=pd.Timestamp.now(tz="UTC") if moment is None else moment)
    for line in read_out(answer):
        typer.echo(line, err=True)
    body = answer.model_dump(mode="json")
    typer.echo(json_module.dumps(body, indent=2))
    if json is not None:
        write_json(json, body)
