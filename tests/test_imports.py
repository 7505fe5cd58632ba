"""Imports point one way, and what serves carries nothing of what trains."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("features", "serving", "training")
ALLOWED = {"features": {"features"}, "serving": {"features", "serving"}, "training": set(PACKAGES)}
TRAINING_ONLY = {"lightgbm", "sklearn", "mlflow", "onnxmltools", "skl2onnx"}
PICKLES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


def modules(root: Path, *packages: str) -> list[Path]:
    found = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    assert len(found) >= 10 * len(packages)
    return found


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports anywhere in it; a relative import stands for its own package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else (node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"import_module", "__import__"}:
            names.add("importlib.import_module")
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_downward_only(root: Path, package: str) -> None:
    own = {*PACKAGES, "bearmode", "tests", "benchmarks"}
    for path in modules(root, package):
        wrong = imported(path) & own - ALLOWED[package]
        assert not wrong, f"{path.relative_to(root)} imports {wrong}"


def test_nobody_imports_the_command_line(root: Path) -> None:
    for path in modules(root, *PACKAGES):
        assert "bearmode" not in imported(path), path


def test_no_relative_or_computed_imports_hide_anything(root: Path) -> None:
    for path in modules(root, *PACKAGES):
        assert not imported(path) & {".", "importlib.import_module"}, path


@pytest.mark.parametrize("package", ["features", "serving"])
def test_serving_needs_nothing_that_only_training_needs(root: Path, package: str) -> None:
    for path in modules(root, package):
        assert not imported(path) & TRAINING_ONLY, path


def test_no_pickle_anywhere(root: Path) -> None:
    for path in modules(root, *PACKAGES):
        assert not imported(path) & PICKLES, path
        text = path.read_text(encoding="utf-8")
        for call in ("read_pickle", "to_pickle", "allow_pickle=True"):
            assert call not in text, path


def test_onnx_runtime_is_imported_where_its_telemetry_is_turned_off(root: Path, tmp_path: Path) -> None:
    places = [path for path in modules(root, *PACKAGES) if "onnxruntime" in imported(path)]
    assert places == [root / "serving" / "onnx_runtime.py"]
    home = tmp_path / "home"
    home.mkdir()
    # Its environment is what makes a device id and a database of events.
    code = "from serving.onnx_runtime import ort; ort.get_available_providers(); ort.SessionOptions()"
    environment = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)
    assert not list(home.rglob("*"))


def test_the_reader_of_imports_sees_each_kind(tmp_path: Path) -> None:
    source = (
        "import pickle as p\nfrom training.x import y\nif 1:\n    def f():\n"
        "        from . import z\n        import_module('a')\n"
    )
    (tmp_path / "m.py").write_text(source)
    assert imported(tmp_path / "m.py") == {"pickle", "training", ".", "importlib.import_module"}


def test_a_process_that_serves_has_loaded_nothing_that_trains(root: Path) -> None:
    code = (
        "import sys, serving.service, serving.predictor, serving.golden, serving.server\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"onnxruntime", "bentoml", "features", "serving"} <= set(found)
    assert not set(found) & (TRAINING_ONLY | {"training", "bearmode", "onnx", "plotly"})


MODULE_LEVEL = (ast.Module, ast.If, ast.Try, ast.With, ast.For, ast.ClassDef)
ACTS = ("os.environ", "os.getenv", "mkdir(", "socket.", "set_tracking_uri", "urlopen", "httpx.get")


def at_import(node: ast.AST) -> list[ast.stmt]:
    """Statements that run when a module is imported."""
    found: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if isinstance(child, MODULE_LEVEL):
                if not (isinstance(child, ast.If) and "__main__" in ast.unparse(child.test)):
                    found += at_import(child)
            else:
                found.append(child)
    return found


def test_nothing_is_read_made_or_opened_at_import(root: Path) -> None:
    """Only a library's telemetry is turned off before it is imported."""
    for path in modules(root, *PACKAGES):
        for statement in at_import(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(statement)
            if "TRACK" in text or "TELEMETRY" in text or isinstance(statement, ast.Import | ast.ImportFrom):
                continue
            assert not [act for act in ACTS if act in text], f"{path.relative_to(root)}: {text}"


def test_the_parent_of_the_workers_loads_nothing_that_answers(root: Path) -> None:
    code = "import serving.server, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not set(found.stdout.split()) & {"pandas", "numpy", "pyarrow", "onnxruntime", "bentoml", "ccxt"}
