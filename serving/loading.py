"""Which bundle is meant by the settings, and how it is loaded: the champion, or a folder that is followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from features.errors import BundleError
from serving.live_model import AnyPredictor, LiveModel
from serving.schemas import PredictRequest
from serving.settings import ServingSettings

__all__ = ["load_champion", "open_live_model"]

Load = Callable[[Path], AnyPredictor]
FILES = ("manifest.json", "model.onnx", "squeeze.onnx", "golden.json")


def load_champion(bundles: Path, load: Load) -> AnyPredictor:
    """Verified predictor of the champion.

    Parameters
    ----------
    bundles : Path
        Folder with ``champion.json``.
    load : callable
        Gives the verified predictor of a bundle folder.

    Raises
    ------
    BundleError
        There is none, it fails its proof, or it is not the one that ``champion.json`` means.
    """
    # Here and not above: the supervisor of the workers imports this module and runs no model.
    from serving.bundle import champion, champion_folder  # noqa: PLC0415

    named = champion(bundles)
    predictor = load(champion_folder(bundles))
    if champion(bundles) != named:  # promoted meanwhile
        return load_champion(bundles, load)
    if named is not None and not named.hash.startswith(predictor.version):
        raise BundleError(
            f"champion.json names manifest {named.hash[:12]}, the bundle there has {predictor.version}",
            hint="promote again, or roll back",
        )
    return predictor


def open_live_model(settings: ServingSettings, load: Load) -> LiveModel:
    """What is served by the settings, loaded as far as it can be; call ``watch`` or ``refresh`` to follow."""
    bundle = settings.bundle
    if bundle is None:
        chosen, watched = (
            lambda: load_champion(settings.bundles, load),
            [settings.bundles / "champion.json"],
        )
    else:
        chosen, watched = lambda: load(bundle), [bundle / name for name in FILES]
    live = LiveModel(
        chosen, watched=watched, golden=_golden_windows, least_agreement=settings.reload_agreement
    )
    live.refresh()
    return live


def _golden_windows(predictor: AnyPredictor) -> list[PredictRequest]:
    """Windows of a predictor's own proof: what a new bundle is compared on beside recent requests."""
    from serving.golden import golden_requests  # noqa: PLC0415

    bundle = getattr(predictor, "bundle", None)
    return [] if bundle is None else golden_requests(bundle.golden)
