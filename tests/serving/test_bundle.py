"""The bundle: its hash is its content, and a bundle that was touched is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_training import Trained, snapshot

from features.errors import BundleError
from serving.bundle import (
    Bundle,
    Champion,
    champion,
    champion_folder,
    install_bundle,
    write_bundle,
    write_json,
)
from serving.predictor import Predictor
from training.promotion import load_champion, promote
from training.retraining.journal import Journal


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(trained.bundle, tmp_path / "bundle"))


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def fix_hashes(folder: Path) -> None:
    """What a careful forger does after an edit."""

    def change(manifest: dict[str, Any]) -> None:
        for name in manifest["files"]:
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    change_json(folder / "manifest.json", change)


def test_version_is_the_hash_of_the_manifest(trained: Trained) -> None:
    bundle = Bundle(trained.bundle)
    digest = hashlib.sha256((trained.bundle / "manifest.json").read_bytes()).hexdigest()
    assert bundle.hash == digest == trained.result["hash"]
    assert bundle.version == digest[:12] == trained.bundle.name == trained.result["version"]
    for name, expected in bundle.manifest.files.items():
        assert hashlib.sha256((trained.bundle / name).read_bytes()).hexdigest() == expected
    assert set(bundle.manifest.files) == {"model.onnx", "squeeze.onnx", "golden.json"}


def test_the_manifest_is_content_only(trained: Trained) -> None:
    text = (trained.bundle / "manifest.json").read_text()
    run = json.loads((trained.bundle / "run.json").read_text())
    assert trained.result["run_id"] == run["run_id"]
    for outside in (run["run_id"], run["created_at"][:19], str(trained.places.bundles.parent)):
        assert outside not in text


@pytest.mark.parametrize("name", ["model.onnx", "golden.json"])
@pytest.mark.parametrize("where", [0.0, 0.31, 0.77, 1.0])
def test_one_flipped_bit_is_refused(copied: Path, name: str, where: float) -> None:
    raw = bytearray((copied / name).read_bytes())
    raw[int(where * (len(raw) - 1))] ^= 1
    (copied / name).write_bytes(bytes(raw))
    with pytest.raises(BundleError, match=rf"{name} has SHA-256 .*, the manifest says"):
        Predictor.load(copied)


def test_a_flipped_byte_of_the_manifest_is_refused_where_it_was_promoted(
    trained: Trained, tmp_path: Path
) -> None:
    """Whatever it says: the champion is named by the manifest's hash."""
    bundles = tmp_path / "bundles"
    shutil.copytree(trained.bundle, bundles / trained.bundle.name)
    shutil.copy(trained.places.bundles / "champion.json", bundles)
    assert load_champion(bundles).bundle.hash == trained.result["hash"]
    path = bundles / trained.bundle.name / "manifest.json"
    original = path.read_bytes()
    for position in range(5, len(original), len(original) // 25):
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(BundleError):
            load_champion(bundles)
    path.write_bytes(original.replace(b'"rows"', b'"rows" ', 1))  # the same content, other bytes
    with pytest.raises(BundleError, match=r"champion.json names manifest"):
        load_champion(bundles)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.update(surprise=1),
            "does not fit the schema: Extra inputs are not permitted at surprise",
        ),
        (lambda m: m.pop("temperature"), "does not fit the schema: Field required at temperature"),
        (lambda m: m.update(schema_version=99), "bundle schema is version 99"),
        (lambda m: m.update(schema_version=1), "bundle schema is version 1, this bearmode reads 5"),
        (lambda m: m.update(window_bars=600), "window has 600 bars, the signals look back over 655"),
        (lambda m: m["classes"].reverse(), "expected"),
        (lambda m: m.update(label_version="other"), "by labels other"),
        (lambda m: m["features"][0].update(name="no_such"), "needs a feature that this bearmode lacks"),
        (lambda m: m["features"][0].update(lookback_bars=3), "was declared otherwise"),
        (lambda m: m["features"].pop(), r"drift describes \d+ features, the model reads \d+"),
        (lambda m: m["features"].reverse(), "golden"),
        (lambda m: m["files"].pop("golden.json"), "golden.json has SHA-256"),
        (lambda m: m["decision"]["sets"].update(thresholds=[1.0] * 4), "golden window"),
        (lambda m: m["training"].update(trained_until="2020-01-01T00:00:00Z"), "golden window"),
        (lambda m: m["advice"].update(survival_level=0.9), "golden window"),
        (lambda m: m.update(data_source="files"), "golden window"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(
    copied: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    change_json(copied / "manifest.json", change)
    with pytest.raises(BundleError, match=message):
        Predictor.load(copied)


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "manifest.json"])
def test_a_lost_file_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read"):
        Predictor.load(copied)


def test_no_bundle_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read"):
        Predictor.load(tmp_path / "nowhere")


def edit_probability(golden: dict[str, Any]) -> None:
    golden["rows"]["probabilities"][7][0] += 2e-6


def edit_regime(golden: dict[str, Any]) -> None:
    answer = golden["windows"][1]["answer"]
    answer["regime"] = "bull" if answer["regime"] != "bull" else "bear"


def edit_leverage(golden: dict[str, Any]) -> None:
    golden["windows"][0]["answer"]["advice"]["leverage_short"] += 0.1


def edit_close(golden: dict[str, Any]) -> None:
    request = golden["windows"][2]["request"]
    request["close"][-1] = (request["high"][-1] + request["low"][-1]) / 2


def edit_window(golden: dict[str, Any]) -> None:
    request = golden["windows"][0]["request"]
    request["time"] = request["time"][:-2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_probability, "golden rows answer otherwise than proven: largest difference 2"),
        (edit_regime, r"golden window 1 answers otherwise than proven, at regime"),
        (edit_leverage, r"golden window 0 answers otherwise than proven, at advice.leverage_short"),
        (edit_close, "golden window 2 answers otherwise than proven"),
        (edit_window, "golden window 0 is refused"),
        (lambda golden: golden.update(windows=[]), "golden.json is empty"),
        (lambda golden: golden.pop("rows"), "does not hold rows and windows"),
    ],
)
def test_an_edited_golden_answer_is_refused_though_its_hash_fits(
    copied: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    change_json(copied / "golden.json", change)
    fix_hashes(copied)
    with pytest.raises(BundleError, match=message):
        Predictor.load(copied)


def test_another_graph_is_refused_though_its_hash_fits(copied: Path, trained: Trained) -> None:
    folds = trained.bundle.with_name(f"{trained.bundle.name}.walk-forward")
    shutil.copy(sorted(folds.iterdir())[0] / "model.onnx", copied)
    fix_hashes(copied)
    with pytest.raises(BundleError, match="golden rows answer otherwise"):
        Predictor.load(copied)
    (copied / "model.onnx").write_bytes(b"no graph")
    fix_hashes(copied)
    with pytest.raises(BundleError, match="not a graph that runs here"):
        Predictor.load(copied)


def test_run_info_is_outside_the_hash(copied: Path, trained: Trained) -> None:
    change_json(copied / "run.json", lambda run: run.update(run_id="another"))
    other = Predictor.load(copied)
    assert other.version == trained.result["version"]
    assert other.run.run_id == "another"
    (copied / "run.json").write_text("{")
    with pytest.raises(BundleError, match=r"run\.json is not readable"):
        Predictor.load(copied)


def test_writing_again_gives_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    bundle = Bundle(trained.bundle)
    manifest = bundle.manifest.model_dump(mode="json", exclude={"files"})
    model = (trained.bundle / "model.onnx").read_bytes()
    squeeze = (trained.bundle / "squeeze.onnx").read_bytes()
    found = write_bundle(
        tmp_path / "new", model=model, squeeze=squeeze, golden=bundle.golden, manifest=manifest, run={}
    )
    assert found == bundle.hash
    for name in ("manifest.json", "golden.json", "model.onnx", "squeeze.onnx"):
        assert (tmp_path / "new" / name).read_bytes() == (trained.bundle / name).read_bytes()


def test_nothing_in_a_bundle_or_in_the_runs_is_a_pickle(trained: Trained) -> None:
    files = [
        path
        for folder in (trained.places.bundles, trained.places.mlruns)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert {path.suffix for path in files} >= {".onnx", ".json", ".html"}
    for path in files:
        assert path.suffix not in {".pkl", ".pickle", ".joblib", ".cloudpickle"}
        head = path.read_bytes()[:2]
        assert not (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"), path
    for path in files:
        if path.name == "MLmodel":
            assert "pickle" not in path.read_text()


def test_install_is_whole_or_not_at_all(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = tmp_path / "bundles"

    def torn(_source: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.onnx").write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", torn)
        with pytest.raises(OSError, match="disk full"):
            install_bundle(trained.bundle, bundles, "abc")
    assert list(bundles.iterdir()) == []
    target = install_bundle(trained.bundle, bundles, "abc")
    assert snapshot(target) == snapshot(trained.bundle)
    (target / "mark").write_text("kept")  # what is there stays as it is
    assert install_bundle(trained.bundle, bundles, "abc") == target
    assert (target / "mark").is_file()
    assert [path.name for path in bundles.iterdir()] == ["abc"]


def test_champion_and_previous(trained: Trained, tmp_path: Path) -> None:
    assert champion(tmp_path) is None
    with pytest.raises(BundleError, match="no model has been promoted") as none:
        champion_folder(tmp_path)
    assert none.value.code == "no_champion"
    hashes = [hashlib.sha256(content).hexdigest() for content in (b"{}", b"[]")]
    for content, found in zip((b"{}", b"[]"), hashes, strict=True):
        (tmp_path / found[:12]).mkdir()
        (tmp_path / found[:12] / "manifest.json").write_bytes(content)
    first, second = hashes
    assert promote(tmp_path, first).previous is None
    assert promote(tmp_path, second).previous == first[:12]
    assert promote(tmp_path, second).previous == first[:12]  # again: the one before stays known
    expected = Champion(version=second[:12], path=second[:12], hash=second, previous=first[:12])
    assert champion(tmp_path) == expected
    assert champion_folder(tmp_path) == tmp_path / second[:12]
    entries = Journal(tmp_path).entries()
    assert [(entry["action"], entry["version"]) for entry in entries] == [
        ("promotion", found[:12]) for found in (first, second, second)
    ]
    with pytest.raises(BundleError, match="cannot be read"):
        promote(tmp_path, "c" * 64)
    (tmp_path / first[:12] / "manifest.json").write_bytes(b"changed")
    with pytest.raises(BundleError, match=f"expected {first[:12]}"):
        promote(tmp_path, first)
    assert champion(tmp_path) == expected
    assert len(Journal(tmp_path).entries()) == 3
    (tmp_path / "champion.json").write_text('{"version": "x"}')
    with pytest.raises(BundleError, match="does not name a champion"):
        champion(tmp_path)


def test_a_json_file_is_replaced_or_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"b": 1, "a": [1.5]})
    before = path.read_bytes()
    assert json.loads(before) == {"a": [1.5], "b": 1}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["file.json"]
