"""The command ``health``: how the champion is, on one page, and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.context import with_context
from features.errors import BearmodeError, NothingUsableError
from features.history import History
from features.json_file import check_target, write_json
from features.sources import load_histories, parse_date, parse_symbols
from features.sources.context_closes import load_closes
from features.store import Store
from serving.bundle import Manifest
from serving.settings import ServingSettings
from serving.watching import read_predictions
from training.health.print_report import print_report
from training.health.report import HealthReport, examine
from training.promotion import load_champion
from training.settings import Places

__all__ = ["health_command"]


def health_command(
    symbols: str,
    places: Places,
    source: str | None = None,
    path: Path | None = None,
    as_of: str | None = None,
    json: Path | None = None,
    predictions: Path | None = None,
) -> HealthReport:
    """Print the health of the champion; fail where something is bad.

    Parameters
    ----------
    symbols : str
        Comma-separated; by default those that the model was trained on.
    places : Places
    source, path
        Where the history comes from; the store by default.
    as_of : str, optional
        Nothing later than this is looked at. Now by default; of a model that was trained on simulated
        data the last bar, since a simulated market has no now.
    json : Path, optional
    predictions : Path, optional
        Folder of the prediction log; that of the service's settings by default.

    Raises
    ------
    BearmodeError
        ``unhealthy``: if a check is bad, once the page is printed and the file written; or if there is
        no champion, no history, or none of it before ``as_of``.
    """
    check_target(json, "json")
    moment = parse_date(as_of, "as-of")
    predictor = load_champion(places.bundles)
    manifest = predictor.manifest
    asked = parse_symbols(symbols)
    names, missing = _held(asked, source, places, manifest)
    histories = load_histories(source, names, path=path, store=places.store, interval=manifest.interval)
    if moment is None:
        last = max(history.time[-1] for history in histories)
        moment = last if manifest.data_source == "simulated" else pd.Timestamp.now(tz="UTC")
    histories = [_until(history, moment) for history in histories]
    universe = manifest.context_symbols
    others = [name for name in universe if name not in {history.symbol for history in histories}]
    closes = load_closes(source, others, path=path, store=places.store, interval=manifest.interval)
    histories = with_context(histories, universe, closes)
    log = read_predictions(ServingSettings.load().prediction_log_dir if predictions is None else predictions)
    report = examine(predictor, histories, moment, registry=_registry(places), missing=missing, log=log)
    if json is not None:
        write_json(json, report.as_dict())
    print_report(report)
    bad = [check for check in report.checks if check.state == "bad"]
    if bad:
        raise BearmodeError(
            f"the champion is not healthy: {', '.join(check.name for check in bad)}",
            code="unhealthy",
            hint=_remedy([check.name for check in bad]),
        )
    return report


def _held(
    asked: Sequence[str], source: str | None, places: Places, manifest: Manifest
) -> tuple[list[str], list[str]]:
    """Symbols to look at, and those of the model that the store lacks."""
    if asked or source is not None:
        return list(asked or manifest.symbols), []
    held = set(Store(places.store).names())
    names = [name for name in manifest.symbols if name in held]
    if not names:
        raise NothingUsableError(
            f"{places.store} holds none of {', '.join(manifest.symbols)}, which the champion was trained on",
            field="symbols",
            hint="fetch them first, or name where they are with --source",
        )
    return names, [name for name in manifest.symbols if name not in held]


def _until(history: History, moment: pd.Timestamp) -> History:
    """The history as it stood at a moment; its last bar is one that is there."""
    there = np.isfinite(history.column("close")) & np.asarray(history.time <= moment)
    if not there.any():
        raise NothingUsableError(
            f"{history.symbol}: no bar closes by {moment}, the first one at {history.time[0]}", field="as-of"
        )
    return history.part(0, int(np.flatnonzero(there)[-1]) + 1)


def _registry(places: Places) -> str | None:
    """How the registry differs from ``champion.json``; a registry that does not answer differs, too."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    from training.retraining.registry import disagreement  # noqa: PLC0415

    try:
        return disagreement(places)
    except MlflowException as error:
        return f"the registry does not answer: {str(error).splitlines()[0]}"


def _remedy(names: Sequence[str]) -> str:
    """What helps against the bad checks."""
    if any(name.startswith("data_") for name in names):
        return "bring the data up to date first: bearmode update"
    if any(name.startswith("unusual_") for name in names):
        return "look at the data first: bearmode audit"
    return "retrain: bearmode retrain"
