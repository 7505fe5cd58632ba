"""The command ``predict``: answers for the newest bars, without a server, and what they add up to."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from features.context import with_context
from features.errors import BearmodeError, NothingUsableError, UsageError
from features.history import History
from features.json_file import check_target
from features.sources import load_histories, parse_date, parse_symbols
from features.sources.context_closes import load_closes
from serving.bundle import write_json
from serving.correlations import correlations_of, daily_closes
from serving.portfolio import Portfolio, PortfolioCaps, portfolio_of
from serving.position import check_account
from serving.predictor import Predictor
from serving.schemas import DISCLAIMER, Account, Answer
from training.promotion import load_champion
from training.settings import Places
from training.words import portfolio_read_out, read_out

__all__ = ["predict_command"]


@dataclass
class _Answered:
    """Answers by symbol, and why others have none."""

    answers: dict[str, Answer] = field(default_factory=dict)
    refused: dict[str, BearmodeError] = field(default_factory=dict)
    closes: dict[str, pd.Series] = field(default_factory=dict)


def predict_command(
    symbols: str,
    places: Places,
    source: str | None = None,
    path: Path | None = None,
    bundle: Path | None = None,
    as_of: str | None = None,
    json: Path | None = None,
    *,
    account: Account | None = None,
    caps: PortfolioCaps | None = None,
) -> None:
    """Print the answer: words to stderr, the JSON body to stdout.

    Of several symbols the body holds ``answers`` and, with an account, the ``portfolio``: what they add
    up to, held below the caps on the whole. A symbol that cannot be answered is named in ``refused``.

    Parameters
    ----------
    symbols : str
        Comma-separated.
    places : Places
    source, path
        As for :func:`features.sources.load_histories`.
    bundle : Path, optional
        In place of the champion.
    as_of : str, optional
        ISO time, UTC; now by default.
    json : Path, optional
        Also write the body here.
    account : Account, optional
        The same for every symbol; one with an open position goes with one symbol.
    caps : PortfolioCaps, optional

    Raises
    ------
    BearmodeError
        If there is no model, no history, or too little of it.
    """
    names = parse_symbols(symbols)
    if not names:
        raise UsageError(f"{symbols!r} names no symbol", field="symbols")
    if len(names) > 1 and account is not None and account.position is not None:
        raise UsageError("--position is of one symbol, several are named", field="position")
    check_target(json, "json")
    predictor = load_champion(places.bundles) if bundle is None else Predictor.load(bundle)
    found = _answered(predictor, names, places, source, path, parse_date(as_of, "as-of"), account)
    if not found.answers or (len(names) == 1 and found.refused):
        raise next(iter(found.refused.values()))
    for answer in found.answers.values():
        for line in read_out(answer):
            typer.echo(line, err=True)
    for name, error in found.refused.items():
        typer.echo(f"warning: {name} has no answer: {error.one_line()}", err=True)
    body: dict[str, Any]
    if len(names) == 1:
        body = found.answers[names[0]].model_dump(mode="json")
    else:
        body = _whole(found, account, caps or PortfolioCaps())
    typer.echo(json_module.dumps(body, indent=2))
    if json is not None:
        write_json(json, body)


def _answered(
    predictor: Predictor,
    names: list[str],
    places: Places,
    source: str | None,
    path: Path | None,
    moment: pd.Timestamp | None,
    account: Account | None,
) -> _Answered:
    """Ask for every symbol as of one moment, each seeing the others as the model's context."""
    interval = predictor.manifest.interval
    histories = load_histories(source, names, path=path, store=places.store, interval=interval)
    found = _Answered()
    known = []
    for history in histories:
        try:
            known.append(_until(history, moment))
        except NothingUsableError as error:
            found.refused[history.symbol] = error
    universe = predictor.manifest.context_symbols
    others = [name for name in universe if name not in {history.symbol for history in known}]
    closes = load_closes(source, others, path=path, store=places.store, interval=interval)
    now = pd.Timestamp.now(tz="UTC") if moment is None else moment
    for history in with_context(known, universe, closes):
        try:
            if account is not None:
                check_account(history.symbol, account)
            found.answers[history.symbol] = predictor.answer(history, as_of=now, account=account)
        except BearmodeError as error:
            found.refused[history.symbol] = error
        else:
            found.closes[history.symbol] = pd.Series(history.column("close"), index=history.time)
    return found


def _until(history: History, moment: pd.Timestamp | None) -> History:
    """Cut a history to what was there at a moment."""
    if moment is None:
        return history
    keep = int((history.time <= moment).sum())
    if not keep:
        raise NothingUsableError(
            f"{history.symbol}: no bar closes by {moment}, the first one at {history.time[0]}", field="as-of"
        )
    return history.window(keep - 1, keep)


def _whole(found: _Answered, account: Account | None, caps: PortfolioCaps) -> dict[str, Any]:
    portfolio: Portfolio | None = None
    if account is not None:
        advices = {name: answer.advice for name, answer in found.answers.items()}
        correlations = correlations_of(daily_closes(found.closes))
        portfolio = portfolio_of(advices, account.equity, correlations, caps)
        for line in portfolio_read_out(portfolio, account.equity):
            typer.echo(line, err=True)
    else:
        typer.echo("No portfolio: sizes need --equity.", err=True)
    return {
        "answers": [answer.model_dump(mode="json") for answer in found.answers.values()],
        "refused": {
            name: {"code": error.code, "message": error.message, "field": error.field, "hint": error.hint}
            for name, error in found.refused.items()
        },
        "portfolio": None if portfolio is None else portfolio.model_dump(mode="json"),
        "disclaimer": DISCLAIMER,
    }
