"""The command ``reproduce RUN``: make a run's bundle again, and say what differs.

The run is an MLflow run id or the version of an installed bundle. Recipe, symbols and each symbol's span
come from the record; the history from where the run took it, or from where the options say. Then the same
steps are gone through in a temporary folder; nothing is installed, registered or promoted.
"""

from __future__ import annotations

import hashlib
import json as json_module
import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import typer

from features.errors import BundleError, TrainingError, UsageError
from features.history import History
from features.json_file import check_target, write_json
from features.sources import load_histories
from serving.bundle import VERSION_DIGITS, RunInfo
from training.dataset import Dataset, build_dataset
from training.environment import code_hash, environment, lock_hash, revision
from training.making.make import Making
from training.making.run_log import INPUTS
from training.making.work import Work
from training.packaging import Packaged
from training.progress import step_progress
from training.recipe import Recipe
from training.settings import Places
from training.tracking import open_tracker

__all__ = ["Difference", "Record", "compare", "read_record", "rebuild", "reproduce_command"]

SAME, OTHER, UNKNOWN = "same", "differs", "not recorded"


@dataclass(frozen=True)
class Record:
    """What is known of a run.

    Attributes
    ----------
    name : str
        As asked for.
    run_id : str or None
    manifest : dict
        Of its bundle.
    hash : str
        SHA-256 of the manifest.
    inputs : dict
        Recipe, interval, spans, source, path.
    tags : dict of str to str
        Of the run; empty where MLflow does not have it.
    environment : str or None
        Installed distributions then.
    """

    name: str
    run_id: str | None
    manifest: dict[str, Any]
    hash: str
    inputs: dict[str, Any]
    tags: dict[str, str]
    environment: str | None


@dataclass(frozen=True)
class Difference:
    """One thing that was compared.

    Attributes
    ----------
    what : str
    result : {"same", "differs", "not recorded"}
    words : str
        Then and now.
    """

    what: str
    result: str
    words: str


def reproduce_command(
    run: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    json: Path | None = None,
) -> None:
    """Make a run's bundle again.

    Raises
    ------
    UsageError
        If the run is not known.
    TrainingError
        ``not_reproduced``: if the bytes differ, with what else does.
    """
    check_target(json, "json")
    record = read_record(run, places)
    if record.inputs.get("unsure"):
        typer.echo(record.inputs["unsure"])
    with step_progress() as progress:
        dataset, recipe = _table(record, places, source, path)
        with tempfile.TemporaryDirectory(prefix="bearmode-reproduce-") as temporary:
            made = rebuild(dataset, recipe, Path(temporary), progress)
            found = compare(record, made)
    for one in found:
        typer.echo(f"  {one.result:<12} {one.what}: {one.words}")
    if json is not None:
        content = {
            "run": run,
            "expected": record.hash,
            "found": made.hash,
            "equal": made.hash == record.hash,
            "compared": [asdict(one) for one in found],
        }
        write_json(json, content)
    if made.hash != record.hash:
        causes = [one.what for one in found if one.result == OTHER and not one.what.startswith("bundle")]
        words = (
            f"{', '.join(causes)} differ too" if causes else "nothing that it is made from is known to differ"
        )
        raise TrainingError(
            f"{run} was not reproduced: bundle {made.hash[:VERSION_DIGITS]}, expected "
            f"{record.hash[:VERSION_DIGITS]}; {words}",
            code="not_reproduced",
            hint="the lines above say what was then and what is now",
        )
    typer.echo(f"bundle {made.hash[:VERSION_DIGITS]}: the same to the last byte")


def read_record(run: str, places: Places) -> Record:
    """Read what MLflow and the bundles know of a run.

    Raises
    ------
    UsageError
        If the name is neither a run id nor a version, or nobody knows it.
    BundleError
        If the run's bundle cannot be read.
    """
    if re.fullmatch(r"[0-9a-f]{12}", run):
        folder = places.bundles / run
        if not (folder / "manifest.json").is_file():
            raise UsageError(f"{places.bundles} holds no bundle {run}", field="run")
        raw = (folder / "manifest.json").read_bytes()
        info = RunInfo()
        if (folder / "run.json").is_file():
            info = RunInfo.model_validate_json((folder / "run.json").read_bytes())
        return _record(run, info.run_id, raw, places)
    if re.fullmatch(r"[0-9a-f]{32}", run):
        raw_text = open_tracker(places).text(run, "bundle/manifest.json")
        if raw_text is None:
            raise UsageError(
                f"MLflow knows no run {run} with a bundle",
                field="run",
                hint="bearmode journal and the MLflow UI name runs; a run that failed has no bundle",
            )
        return _record(run, run, raw_text.encode(), places)
    raise UsageError(
        f"{run!r} is neither an MLflow run id (32 hexadecimal digits) nor a bundle's version (12)",
        field="run",
    )


def _record(name: str, run_id: str | None, raw: bytes, places: Places) -> Record:
    try:
        manifest = json_module.loads(raw)
        recipe = manifest["recipe"]
        symbols, training = manifest["symbols"], manifest["training"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"the manifest of {name} does not say how it was made: {error}") from error
    tags: dict[str, str] = {}
    inputs: dict[str, Any] | None = None
    installed = None
    if run_id is not None:
        tracker = open_tracker(places)
        tags = tracker.tags(run_id)
        text = tracker.text(run_id, INPUTS) if tags else None
        inputs = None if text is None else json_module.loads(text)
        installed = tracker.text(run_id, "environment.txt") if tags else None
    if inputs is None:
        span = [training["first_bar"], training["trained_until"]]
        inputs = {
            "recipe": recipe,
            "interval": manifest["interval"],
            "spans": dict.fromkeys(symbols, span),
            "unsure": "the run is not in MLflow: every symbol is taken over the whole span of the bundle",
        }
    digest = hashlib.sha256(raw).hexdigest()
    return Record(name, run_id, manifest, digest, inputs, tags, installed)


def _table(record: Record, places: Places, source: str | None, path: Path | None) -> tuple[Dataset, Recipe]:
    """History of the record's spans, and the table that its recipe reads."""
    inputs = record.inputs
    if source is None and path is None and inputs.get("source") is not None:
        source = str(inputs["source"])
        path = None if inputs.get("path") is None else Path(inputs["path"])
    symbols = record.manifest["symbols"]
    loaded = load_histories(source, symbols, path=path, store=places.store, interval=inputs["interval"])
    by_name = {one.symbol: one for one in loaded}
    histories: list[History] = []
    for name in symbols:
        first, last = (pd.Timestamp(text) for text in inputs["spans"][name])
        histories.append(by_name[name].between(first, last + pd.Timedelta(milliseconds=1)))
    recipe = Recipe.from_dict(inputs["recipe"])
    return build_dataset(histories, recipe.selected()), recipe


def rebuild(dataset: Dataset, recipe: Recipe, folder: Path, progress: Callable[[str, int], None]) -> Packaged:
    """Go through the steps; nothing outside the folder changes."""
    hashes = (dataset.data_hash(), dataset.feature_hash())
    return Making(dataset, recipe, Work(folder, ""), hashes, {}, progress).make().packaged


def compare(record: Record, made: Packaged) -> list[Difference]:
    """Everything that a bundle depends on, then and now."""
    now = json_module.loads((made.folder / "manifest.json").read_bytes())
    then = record.manifest
    found = [
        _compared("data", then["data_hash"], now["data_hash"]),
        _compared("features", then["feature_hash"], now["feature_hash"]),
        _compared("recipe", then["recipe"], now["recipe"]),
        _compared("code", record.tags.get("bearmode/code_sha256"), code_hash()),
        _compared("commit", _commit(record.tags), revision()),
        _compared("lock", record.tags.get("bearmode/lock_sha256"), lock_hash()),
        _libraries(then["libraries"], now["libraries"]),
        _installed(record.environment),
        _compared("platform", record.tags.get("bearmode/platform"), platform.platform()),
    ]
    for name in sorted({*then["files"], *now["files"]}):
        found.append(_compared(f"bundle {name}", then["files"].get(name), now["files"].get(name)))
    parts = sorted(name for name in {*then, *now} if then.get(name) != now.get(name) and name != "files")
    words = "equal" if not parts else ", ".join(parts)
    found.append(Difference("bundle manifest", OTHER if parts else SAME, words))
    return found


def _compared(what: str, then: object, now: object) -> Difference:
    if then is None or now is None:
        return Difference(what, UNKNOWN, f"then {_short(then)}, now {_short(now)}")
    if then == now:
        return Difference(what, SAME, _short(now))
    return Difference(what, OTHER, f"then {_short(then)}, now {_short(now)}")


def _short(value: object) -> str:
    if value is None:
        return "unknown"
    text = value if isinstance(value, str) else json_module.dumps(value, sort_keys=True)
    if re.fullmatch(r"[0-9a-f]{40,64}\+?", text):
        return text[:VERSION_DIGITS] + ("+" if text.endswith("+") else "")
    return text if len(text) <= 60 else f"{text[:57]}..."


def _commit(tags: dict[str, str]) -> str | None:
    commit = tags.get("mlflow.source.git.commit")
    if commit is None:
        return None
    return f"{commit}+" if tags.get("bearmode/changed_since_commit") == "true" else commit


def _libraries(then: dict[str, str], now: dict[str, str]) -> Difference:
    changed = [
        f"{name} {then.get(name)} > {now.get(name)}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    return Difference("libraries", OTHER if changed else SAME, ", ".join(changed) or f"{len(now)} equal")


def _installed(then: str | None) -> Difference:
    if then is None:
        return Difference("installed", UNKNOWN, "the run is not in MLflow")
    before, after = set(then.splitlines()), set(environment().splitlines())
    changed = sorted(before ^ after)
    words = f"{len(after)} distributions" if not changed else "; ".join(changed[:6])
    return Difference("installed", OTHER if changed else SAME, words)
