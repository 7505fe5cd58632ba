"""Who serves: copy the verified bundle, then replace ``champion.json``; serving watches that file only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import BundleError
from serving.bundle import VERSION_DIGITS, Champion, champion, champion_folder, install_bundle, write_json
from serving.predictor import Predictor
from training.retraining.journal import Journal
from training.retraining.succession import succession

__all__ = ["enthrone", "install", "load_champion", "promote", "walk_forward_folder"]


def install(staged: Path, bundles: Path, manifest_hash: str) -> Path:
    """Copy a bundle and its walk-forward bundles under their names; nothing serves them yet."""
    version = manifest_hash[:VERSION_DIGITS]
    folder = install_bundle(staged, bundles, version)
    if Predictor.load(folder).bundle.hash != manifest_hash:
        raise BundleError(f"{folder} is not the bundle that was proven", hint="remove it and train again")
    folds = walk_forward_folder(staged)
    if folds.is_dir():
        install_bundle(folds, bundles, walk_forward_folder(Path(version)).name)
    return folder


def promote(bundles: Path, manifest_hash: str, entry: Mapping[str, Any] | None = None) -> Champion:
    """Make an installed bundle the champion, and say so in the journal.

    Parameters
    ----------
    bundles : Path
    manifest_hash : str
    entry : mapping, optional
        What the journal says beside version, hash and previous champion: the reason, the gate's numbers.

    Raises
    ------
    BundleError
        If that bundle is not installed.
    """
    version = manifest_hash[:VERSION_DIGITS]
    try:
        before = champion(bundles)
    except BundleError:  # the file is no champion's; the journal knows who was
        line = [one for one in succession(Journal(bundles).entries()) if one != version]
        previous = line[-1] if line else None
    else:
        previous = None if before is None else before.version
        if before is not None and before.version == version:
            previous = before.previous
    new = Champion(version=version, path=version, hash=manifest_hash, previous=previous)
    told = {"reason": "promoted without the gate", **(entry or {}), "action": "promotion"}
    return enthrone(bundles, new, told)


def enthrone(bundles: Path, new: Champion, entry: Mapping[str, Any]) -> Champion:
    """Replace ``champion.json`` in one step, then journal it.

    Raises
    ------
    BundleError
        If the bundle is not there or is another one.
    """
    manifest = bundles / new.path / "manifest.json"
    try:
        found = hashlib.sha256(manifest.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"{manifest} cannot be read: {error.strerror}", hint="install it first") from error
    if found != new.hash:
        raise BundleError(f"{manifest} is {found[:VERSION_DIGITS]}, expected {new.hash[:VERSION_DIGITS]}")
    write_json(bundles / "champion.json", new.model_dump())
    Journal(bundles).append({**entry, "version": new.version, "hash": new.hash, "previous": new.previous})
    return new


def load_champion(bundles: Path) -> Predictor:
    """Load the champion.

    Raises
    ------
    BundleError
        If there is none, it fails its proof, or it is not the bundle that was promoted.
    """
    named = champion(bundles)
    predictor = Predictor.load(champion_folder(bundles))
    if champion(bundles) != named:  # promoted meanwhile
        return load_champion(bundles)
    if named is not None and named.hash != predictor.bundle.hash:
        raise BundleError(
            f"champion.json names manifest {named.hash[:VERSION_DIGITS]}, "
            f"{predictor.bundle.folder} has {predictor.version}",
            hint="the bundle was changed by hand; train again",
        )
    return predictor


def walk_forward_folder(bundle: Path) -> Path:
    """Folder of the fold bundles beside a bundle: one for each half-year, by its start."""
    return bundle.with_name(f"{bundle.name}.walk-forward")
