"""The champion in MLflow's registry: a record that follows ``champion.json``, and its repair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import BearmodeError, BundleError
from serving.bundle import RunInfo, champion, champion_folder
from training.settings import Places
from training.tracking import CHAMPION, MODEL, open_tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["delete_runs", "disagreement", "mirror_entry", "move_alias", "repair"]

_TAG_LENGTH = 4000


def disagreement(places: Places) -> str | None:
    """How ``champion.json`` and the registry's alias differ, in words; ``None`` where they agree."""
    try:
        named = champion(places.bundles)
    except BundleError as error:
        return error.message
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client = _client(places)
        if client is None:
            return None if named is None else "the registry does not exist: it does not know the champion"
        alias = _alias(client)
        wanted = None if named is None else _registered(client, champion_folder(places.bundles))
    except (MlflowException, BearmodeError) as error:
        return f"the registry cannot be asked: {error.message}"
    if named is None:
        return None if alias is None else f"the alias names version {alias}, and there is no champion.json"
    if wanted is None:
        return f"the champion {named.version} is not in the registry"
    if alias != wanted:
        shown = "nothing" if alias is None else f"version {alias}"
        return f"the champion {named.version} is version {wanted} of the registry, the alias names {shown}"
    return None


def repair(places: Places) -> str | None:
    """Make the alias follow ``champion.json``.

    Returns
    -------
    str or None
        What was done or could not be done, in words; ``None`` where they agreed.
    """
    found = disagreement(places)
    if found is None:
        return None
    try:
        named = champion(places.bundles)
    except BundleError:
        return f"{found}: left as it is"
    if named is None or not move_alias(places, champion_folder(places.bundles)):
        return f"{found}: left as it is"
    return f"{found}: the alias was moved to it"


def move_alias(places: Places, bundle: Path) -> bool:
    """Point the alias at a bundle's registered version.

    Returns
    -------
    bool
        False where the registry does not know it or cannot be asked.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        client = _client(places)
        version = None if client is None else _registered(client, bundle)
        if client is None or version is None:
            return False
        client.set_registered_model_alias(MODEL, CHAMPION, version)
    except (MlflowException, BearmodeError):
        return False
    return True


def mirror_entry(places: Places, run_id: str, entry: Mapping[str, Any]) -> bool:
    """Write an entry of the journal as tags of its run; false where the run is not there."""
    from mlflow.entities import RunTag  # noqa: PLC0415
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    tags = {
        "bearmode/decision": str(entry.get("action", "")),
        "bearmode/decision_reason": str(entry.get("reason", "")),
        "bearmode/decision_number": str(entry.get("number", "")),
    }
    for check in entry.get("checks", ()):
        mark = "passed" if check["passed"] else "failed"
        tags[f"bearmode/gate/{check['name']}"] = f"{mark}: {check['words']}"
    try:
        client = _client(places)
        if client is None:
            return False
        client.log_batch(run_id, tags=[RunTag(name, text[:_TAG_LENGTH]) for name, text in tags.items()])
    except (MlflowException, BearmodeError):
        return False
    return True


def delete_runs(places: Places, run_ids: Iterable[str]) -> int:
    """Mark runs and those nested in them deleted, as the UI does; returns how many."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    client = _client(places)
    if client is None:
        return 0
    experiment = open_tracker(places).experiment_id
    count = 0
    for run_id in run_ids:
        nested = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=1000)
        for one in (*(run.info.run_id for run in nested), run_id):
            try:
                client.delete_run(one)
            except MlflowException:  # deleted before, or made in another registry
                continue
            count += 1
    return count


def _client(places: Places) -> MlflowClient | None:
    """The registry's client; ``None`` where a local database was never made."""
    prefix = "sqlite:///"
    if places.tracking_uri.startswith(prefix) and not Path(places.tracking_uri[len(prefix) :]).is_file():
        return None
    return open_tracker(places).client


def _alias(client: MlflowClient) -> str | None:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    try:
        return str(client.get_model_version_by_alias(MODEL, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _registered(client: MlflowClient, bundle: Path) -> str | None:
    """Version that a bundle's run registered; the newest of the run where ``run.json`` does not say."""
    try:
        run = RunInfo.model_validate_json((bundle / "run.json").read_bytes())
    except (OSError, ValueError):
        return None
    if run.run_id is None:
        return None
    found = client.search_model_versions(f"run_id = '{run.run_id}'")
    versions = sorted((str(one.version) for one in found if one.name == MODEL), key=int)
    if run.registered_version in versions:
        return run.registered_version
    return versions[-1] if versions else None
