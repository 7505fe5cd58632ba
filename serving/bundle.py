"""The served artifact: a folder that proves itself before it is used.

    model.onnx     features (float32) -> calibrated probabilities
    squeeze.onnx   features (float32) -> quantiles of the adverse excursion
    manifest.json  everything the answer depends on, and the SHA-256 of each file; content only
    golden.json    feature rows with probabilities and quantiles, raw windows with full answers
    run.json       run id and times; outside the hash

The version of a bundle is the head of its manifest's SHA-256: same data, code and seed, same
version.
Loading fails closed: a bad hash, schema or golden row is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from features.catalog import select
from features.context import MIN_SYMBOLS, needs_context
from features.errors import BearmodeError, BundleError
from features.json_file import write_json
from features.raw import bars_per_day
from features.regimes import LABEL_VERSION, REGIMES
from serving.advice import AdviceParameters
from serving.decision import DecisionParameters
from serving.drift import DriftParameters
from serving.feature_schema import FeatureSchema
from serving.onnx_runtime import ort
from serving.squeeze import HORIZONS, LEVELS, SIDES, SqueezeParameters

__all__ = [
    "Bundle",
    "Champion",
    "Manifest",
    "RunInfo",
    "champion",
    "champion_folder",
    "install_bundle",
    "write_bundle",
    "write_json",
]

SCHEMA_VERSION = 5
"""2: answers hold seven signals and ``effective_signals``. 3: the recipe is in the manifest; the decision
goes by costs and margins and has the thresholds of the prediction sets; the training rows are described
for drift and novelty; answers say what would flip them, how old the model is and how unusual the bar. 4: the
advice holds the plan in prices and money, full tiers, and why a value is null. 5: quantiles of the adverse
excursion come from a model of their own, ``squeeze.onnx``."""
VERSION_DIGITS = 12
_NAMES = ("model.onnx", "squeeze.onnx", "golden.json")


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSpan(_Content):
    """What the model has seen."""

    first_bar: datetime
    last_label: datetime
    trained_until: datetime
    rows: int
    spells: int


class Manifest(_Content):
    """Everything an answer depends on; content only, no run id and no time of day."""

    schema_version: int
    label_version: str
    classes: list[str]
    data_source: str
    symbols: list[str]
    interval: str
    features: list[FeatureSchema]
    window_bars: int
    decision: DecisionParameters
    advice: AdviceParameters
    drift: DriftParameters
    """What the training rows looked like: novelty of a row, drift of many."""
    squeeze: SqueezeParameters
    """Of ``squeeze.onnx``."""
    temperature: float
    training: TrainingSpan
    data_hash: str
    feature_hash: str
    metrics: dict[str, float]
    recipe: dict[str, JsonValue]
    """What training did, complete: the same can be done again on other data."""
    libraries: dict[str, str]
    files: dict[str, str]
    context_symbols: list[str] = Field(default_factory=list, exclude_if=lambda names: not names)
    """Universe of the features across markets, sorted; left out where the model has none of them."""


class RunInfo(BaseModel):
    """Which run made the bundle, and when."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str | None = None
    created_at: datetime | None = None
    registered_version: str | None = None


class Champion(_Content):
    """The content of ``bundles/champion.json``."""

    version: str
    path: str
    hash: str
    previous: str | None = None


class Bundle:
    """A verified bundle, ready to run.

    Attributes
    ----------
    folder : Path
    manifest : Manifest
    hash : str
        SHA-256 of ``manifest.json``, hexadecimal.
    version : str
        Its first 12 digits: the name of the bundle's folder and of the model in every answer.
    run : RunInfo
    session, squeeze_session : onnxruntime.InferenceSession
        Of ``model.onnx`` and ``squeeze.onnx``; one thread, CPU provider.
    golden : dict
        The content of ``golden.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        raw = _read(folder / "manifest.json")
        self.hash = hashlib.sha256(raw).hexdigest()
        self.version = self.hash[:VERSION_DIGITS]
        try:
            self.manifest = Manifest.model_validate_json(raw)
        except ValidationError as error:
            raise BundleError(
                f"{folder / 'manifest.json'} does not fit the schema: {error.errors()[0]['msg']} "
                f"at {'.'.join(map(str, error.errors()[0]['loc']))}",
                hint="retrain with this version of bearmode",
            ) from error
        content = self._verify_files()
        self.golden: dict[str, Any] = json.loads(content["golden.json"])
        self._verify_schema()
        run = folder / "run.json"
        try:
            self.run = RunInfo.model_validate_json(run.read_bytes()) if run.is_file() else RunInfo()
        except ValidationError as error:
            raise BundleError(f"{run} is not readable") from error
        manifest = self.manifest
        self.session = self._session(
            "model.onnx",
            content,
            [("features", [len(manifest.features)]), ("probabilities", [len(REGIMES)])],
        )
        self.squeeze_session = self._session(
            "squeeze.onnx",
            content,
            [
                ("features", [len(manifest.squeeze.features) + 1]),
                ("scales", [len(SIDES), len(HORIZONS), len(LEVELS)]),
            ],
        )

    def _verify_files(self) -> dict[str, bytes]:
        content = {}
        for name in _NAMES:
            content[name] = _read(self.folder / name)
            found = hashlib.sha256(content[name]).hexdigest()
            expected = self.manifest.files.get(name)
            if found != expected:
                raise BundleError(
                    f"{self.folder / name} has SHA-256 {found[:12]}, the manifest says {str(expected)[:12]}",
                    hint="the bundle is damaged or was changed by hand; copy it again or retrain",
                )
        return content

    def _session(
        self, name: str, content: dict[str, bytes], expected: list[tuple[str, list[int]]]
    ) -> ort.InferenceSession:
        """A graph whose inputs and outputs are those that the manifest says."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            session = ort.InferenceSession(content[name], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has no narrower base class for a bad graph
            raise BundleError(f"{self.folder / name} is not a graph that runs here: {error}") from error
        shapes = [(one.name, one.shape[1:]) for one in (*session.get_inputs(), *session.get_outputs())]
        if shapes != expected:
            raise BundleError(
                f"{self.folder / name} maps {shapes}, the manifest says {expected}",
                hint="the bundle was changed by hand; copy it again or retrain",
            )
        return session

    def _verify_schema(self) -> None:
        manifest = self.manifest
        if manifest.schema_version != SCHEMA_VERSION:
            raise BundleError(
                f"bundle schema is version {manifest.schema_version}, this bearmode reads {SCHEMA_VERSION}",
                hint="retrain with this version of bearmode",
            )
        if manifest.classes != list(REGIMES) or manifest.label_version != LABEL_VERSION:
            raise BundleError(
                f"bundle answers {manifest.classes} by labels {manifest.label_version}, "
                f"expected {list(REGIMES)} by {LABEL_VERSION}"
            )
        try:
            features = select([feature.name for feature in manifest.features])
            squeeze = select([feature.name for feature in manifest.squeeze.features])
        except BearmodeError as error:
            raise BundleError(f"bundle needs a feature that this bearmode lacks: {error.message}") from error
        if needs_context(squeeze):
            raise BundleError("the squeeze model looks across markets: a request without context has none")
        universe = manifest.context_symbols
        looks_across = needs_context(features)
        whole = len(universe) >= MIN_SYMBOLS and universe == sorted(set(universe))
        if looks_across != bool(universe) or (looks_across and not whole):
            raise BundleError(
                f"context_symbols is {universe}, but the model "
                f"{'looks across at least two, sorted' if looks_across else 'looks at no other symbol'}",
                hint="the bundle was changed by hand; copy it again or retrain",
            )
        described = len(manifest.drift.novelty.knots)
        if described != len(features):
            raise BundleError(
                f"drift describes {described} features, the model reads {len(features)}",
                hint="the bundle was changed by hand; copy it again or retrain",
            )
        per_day = bars_per_day(manifest.interval)
        read = [*manifest.features, *manifest.squeeze.features]
        declared = [FeatureSchema.model_validate(one.schema(per_day)) for one in (*features, *squeeze)]
        for mine, theirs in zip(declared, read, strict=True):
            if mine != theirs:
                raise BundleError(
                    f"feature {mine.name} was declared otherwise when the bundle was made",
                    hint="retrain with this version of bearmode",
                )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", hint="train a model first") from error


def write_bundle(
    folder: Path,
    *,
    model: bytes,
    squeeze: bytes,
    golden: dict[str, Any],
    manifest: dict[str, Any],
    run: dict[str, Any],
) -> str:
    """Write a bundle into a new folder and return the SHA-256 of its manifest.

    ``manifest`` comes without ``files``; the hashes are added here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "squeeze.onnx").write_bytes(squeeze)
    write_json(folder / "golden.json", golden)
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _NAMES}
    full = Manifest.model_validate({**manifest, "files": hashes})
    write_json(folder / "manifest.json", full.model_dump(mode="json"))
    write_json(folder / "run.json", run)
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def install_bundle(source: Path, bundles: Path, version: str) -> Path:
    """Copy a bundle to ``bundles/<version>``, whole or not at all; an equal one is left as it is."""
    target = bundles / version
    bundles.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        return target
    staging = Path(tempfile.mkdtemp(dir=bundles, prefix=".incoming-"))
    try:
        shutil.copytree(source, staging / "bundle")
        (staging / "bundle").rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def champion(bundles: Path) -> Champion | None:
    """Read ``champion.json``; ``None`` where nothing has been promoted.

    Raises
    ------
    BundleError
        If the file is there but broken.
    """
    path = bundles / "champion.json"
    if not path.is_file():
        return None
    try:
        return Champion.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{path} does not name a champion: {error.errors()[0]['msg']}") from error


def champion_folder(bundles: Path) -> Path:
    """Folder of the champion.

    Raises
    ------
    BundleError
        If there is none, with what to do.
    """
    found = champion(bundles)
    if found is None:
        raise BundleError(
            f"no model has been promoted in {bundles}",
            code="no_champion",
            hint="run 'bearmode demo' or 'bearmode train' first",
        )
    path = Path(found.path)
    return path if path.is_absolute() else bundles / path
