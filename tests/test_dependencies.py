"""What is declared is what is used: the serving group, the locks, and the code that a served image holds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OWN = ("features", "serving")
BROUGHT_BY = {
    "anyio": "bentoml",
    "prometheus_client": "bentoml",
    "psutil": "bentoml",
    "simdjson": "pysimdjson",
    "starlette": "bentoml",
    "yarl": "aiohttp",
}
"""Modules that we import and a declared package brings, or is called otherwise."""
SERVED = ("serving", "features/store", "features/sources")
"""What runs in a served image, live feed included."""
NEVER_SERVED = {"lightgbm", "mlflow", "mlflow-skinny", "scikit-learn", "onnx", "onnxmltools", "skl2onnx"}
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(?: ; ([^\\]+?))?(?: \\)?$", re.MULTILINE)


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    """Normalised name of a requirement line."""
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def module_of(root: Path, dotted: str) -> Path | None:
    """File of one of our modules."""
    base = root.joinpath(*dotted.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it; ``from a import b`` gives a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def served_imports(root: Path) -> dict[str, str]:
    """Foreign top-level modules that serving reaches, each with a file that imports it."""
    waiting = [path for room in SERVED for path in sorted((root / room).rglob("*.py"))]
    seen = set(waiting)
    foreign: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        for dotted in imports(path):
            top = dotted.partition(".")[0]
            if top in OWN:
                parts = dotted.split(".")
                for length in range(1, len(parts) + 1):
                    found = module_of(root, ".".join(parts[:length]))
                    if found and found not in seen:
                        seen.add(found)
                        waiting.append(found)
            elif top not in sys.stdlib_module_names:
                foreign.setdefault(top, str(path.relative_to(root)))
    return foreign


def test_the_serving_group_is_part_of_the_dependencies(project: dict[str, Any]) -> None:
    group = project["dependency-groups"]["serving"]
    assert len(group) == len(set(group)) >= 10
    assert set(group) <= set(project["project"]["dependencies"]), "a range differs or is declared once only"
    assert not {name_of(line) for line in group} & NEVER_SERVED


def test_the_serving_group_is_what_serving_imports(root: Path, project: dict[str, Any]) -> None:
    group = {name_of(line) for line in project["dependency-groups"]["serving"]}
    options = project["project"]["optional-dependencies"].values()
    extras = {name_of(line) for lines in options for line in lines}
    found = served_imports(root)
    assert {"bentoml", "onnxruntime", "ccxt"} <= set(found)
    used = {BROUGHT_BY.get(name, name_of(name)): place for name, place in found.items()}
    missing = {name: place for name, place in used.items() if name not in group | extras}
    assert not missing, "imported by what serves, and not in the group serving"
    assert not group - set(used), "in the group serving, and nobody there imports it"


def pins(path: Path) -> dict[str, set[str]]:
    """Versions that a lock allows, by name."""
    found: dict[str, set[str]] = {}
    for name, version, _ in PIN.findall(path.read_text(encoding="utf-8")):
        found.setdefault(name_of(name), set()).add(version)
    return found


def test_the_serving_lock_is_the_whole_lock_without_training(root: Path, project: dict[str, Any]) -> None:
    whole, served = pins(root / "requirements.lock"), pins(root / "requirements-serving.lock")
    assert len(served) >= 40
    assert not set(served) & NEVER_SERVED
    different = {name: (found, whole.get(name)) for name, found in served.items() if found != whole.get(name)}
    assert not different, "make lock writes both"
    declared = {name_of(line) for line in project["dependency-groups"]["serving"]}
    assert declared <= set(served), "make lock has not been run since"
    assert {name_of(line) for line in project["project"]["dependencies"]} <= set(whole)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-serving.lock"])
def test_a_lock_has_hashes_and_names_no_place(root: Path, name: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "/tmp" not in text
    blocks = [block for block in re.split(r"\n(?=[A-Za-z0-9])", text) if PIN.match(block)]
    assert len(blocks) >= 40
    for block in blocks:
        assert "--hash=sha256:" in block, block[:60]
