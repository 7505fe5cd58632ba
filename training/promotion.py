"""Who serves: copy the verified bundle, then replace ``champion.json``; serving watches that file only."""

from __future__ import annotations

from pathlib import Path

from features.errors import BundleError
from serving.bundle import VERSION_DIGITS, Champion, champion, champion_folder, install_bundle, write_json
from serving.predictor import Predictor

__all__ = ["install", "load_champion", "promote", "walk_forward_folder"]


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


def promote(bundles: Path, manifest_hash: str) -> Champion:
    """Make an installed bundle the champion."""
    before = champion(bundles)
    version = manifest_hash[:VERSION_DIGITS]
    previous = None if before is None else before.version
    if before is not None and before.version == version:
        previous = before.previous
    new = Champion(version=version, path=version, hash=manifest_hash, previous=previous)
    write_json(bundles / "champion.json", new.model_dump())
    return new


def load_champion(bundles: Path) -> Predictor:
    """Load the champion.

    Raises
    ------
    BundleError
        If there is none, it fails its proof, or it is not the bundle that was promoted.
    """
    predictor = Predictor.load(champion_folder(bundles))
    named = champion(bundles)
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
