"""Bundles that answer alike and are called otherwise: many champions for the price of one training."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from small_training import Trained, new_places

from serving.bundle import VERSION_DIGITS
from training.promotion import promote
from training.settings import Places

__all__ = ["install_variants", "variant"]


def variant(bundle: Path, bundles: Path, number: int, *, created_at: str | None = None) -> str:
    """Install a copy with one more metric in its manifest; returns its hash."""
    staged = bundles / f"staged-{number}"
    shutil.copytree(bundle, staged)
    manifest = json.loads((staged / "manifest.json").read_bytes())
    manifest["metrics"]["variant"] = float(number)
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    (staged / "manifest.json").write_bytes(text)
    if created_at is not None:
        run = json.loads((staged / "run.json").read_bytes())
        (staged / "run.json").write_text(json.dumps({**run, "created_at": created_at}))
    found = hashlib.sha256(text).hexdigest()
    version = found[:VERSION_DIGITS]
    staged.rename(bundles / version)
    folds = bundles / f"{version}.walk-forward" / "2022-01"
    folds.mkdir(parents=True)
    (folds / "model.onnx").write_bytes(b"x" * 1000)
    return found


def install_variants(
    trained: Trained, root: Path, count: int, *, promoted: bool = True
) -> tuple[Places, list[str]]:
    """Bundles in an empty place without a registry, made a day after each other; the last is champion."""
    places = new_places(root)
    places.bundles.mkdir(parents=True)
    hashes = [
        variant(trained.bundle, places.bundles, number, created_at=f"2026-01-{number + 1:02d}T00:00:00+00:00")
        for number in range(count)
    ]
    if promoted:
        for found in hashes:
            promote(places.bundles, found)
    return places, [found[:VERSION_DIGITS] for found in hashes]
