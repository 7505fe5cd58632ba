"""Fitted values as plain files: JSON, NPZ and LightGBM's own text; never a pickle.

What can be kept: numbers, strings, times, arrays, LightGBM boosters, tuples, lists, mappings, and
dataclasses and pydantic models of this project that are made of them. What comes back is equal to the
last bit, so that a run that is continued makes the same bytes as one that was not interrupted.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from features.errors import BearmodeError, TrainingError
from features.json_file import write_json

__all__ = ["keep_value", "kept_value"]

T = TypeVar("T")

PACKAGES = ("features", "serving", "training")
"""A file may name a class of these, and only a dataclass or a pydantic model."""
KIND = "$kind"


def keep_value(folder: Path, name: str, value: object) -> None:
    """Write a value as ``<name>.json``, with ``<name>.npz`` and ``<name>.<n>.txt`` where it needs them.

    Raises
    ------
    TrainingError
        ``cannot_keep``: for a type that has no plain form, with where it is.
    """
    writer = _Writer()
    tree = writer.tree(value, type(value).__name__)
    folder.mkdir(parents=True, exist_ok=True)
    if writer.arrays:
        with (folder / f"{name}.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **writer.arrays)
    for index, text in enumerate(writer.texts):
        (folder / f"{name}.{index}.txt").write_text(text, encoding="utf-8")
    write_json(folder / f"{name}.json", tree)


def kept_value(folder: Path, name: str, expected: type[T]) -> T:
    """Read a value back.

    Raises
    ------
    TrainingError
        ``not_kept``: if the files are missing, damaged or of another form.
    """
    try:
        tree = json.loads((folder / f"{name}.json").read_bytes())
        arrays: dict[str, npt.NDArray[Any]] = {}
        if (folder / f"{name}.npz").is_file():
            with np.load(folder / f"{name}.npz", allow_pickle=False) as found:
                arrays = {key: found[key] for key in found.files}
        texts = [
            (folder / f"{name}.{index}.txt").read_text(encoding="utf-8")
            for index in range(len(list(folder.glob(f"{name}.*.txt"))))
        ]
        value = _Reader(arrays, texts).value(tree)
    except BearmodeError:
        raise
    except Exception as error:
        raise TrainingError(
            f"{folder / name} cannot be read back: {type(error).__name__}: {error}",
            code="not_kept",
            hint="bearmode retrain --fresh does every step anew",
        ) from error
    if not isinstance(value, expected):
        raise TrainingError(
            f"{folder / name} holds {type(value).__name__}, expected {expected.__name__}", code="not_kept"
        )
    return value


class _Writer:
    """A value as a JSON tree; arrays and boosters are laid aside and named in it."""

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self.texts: list[str] = []

    def tree(self, value: object, where: str) -> object:
        """The tree of a value; ``where`` names it in an error."""
        if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
            value = value.item()
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {KIND: "float", "value": repr(value)}
        if isinstance(value, pd.Timestamp):
            return {KIND: "time", "value": value.isoformat(), "unit": value.unit}
        if isinstance(value, datetime):
            return {KIND: "datetime", "value": value.isoformat()}
        if isinstance(value, np.ndarray):
            return {KIND: "array", "name": self._aside(value, where)}
        if isinstance(value, lgb.Booster):
            self.texts.append(value.model_to_string())
            return {KIND: "booster", "index": len(self.texts) - 1}
        if isinstance(value, tuple | list):
            items = [self.tree(one, f"{where}[{index}]") for index, one in enumerate(value)]
            return items if isinstance(value, list) else {KIND: "tuple", "items": items}
        if isinstance(value, Mapping):
            pairs = [
                [self.tree(key, where), self.tree(one, f"{where}[{key!r}]")] for key, one in value.items()
            ]
            return {KIND: "mapping", "items": pairs}
        return self._object(value, where)

    def _object(self, value: object, where: str) -> object:
        cls = type(value)
        name = f"{cls.__module__}:{cls.__qualname__}"
        if _is_ours(cls) and isinstance(value, BaseModel):
            return {KIND: "model", "class": name, "value": self.tree(value.model_dump(), where)}
        if _is_ours(cls) and is_dataclass(value):
            found = {one.name: getattr(value, one.name) for one in fields(value) if hasattr(value, one.name)}
            content = {key: self.tree(one, f"{where}.{key}") for key, one in found.items()}
            return {KIND: "dataclass", "class": name, "fields": content}
        raise TrainingError(
            f"{where} is a {cls.__module__}.{cls.__qualname__}, which has no plain form to keep",
            code="cannot_keep",
            hint="make it of numbers, arrays, boosters, or dataclasses and pydantic models of the project",
        )

    def _aside(self, array: npt.NDArray[Any], where: str) -> str:
        if array.dtype.hasobject:
            raise TrainingError(f"{where} is an array of Python objects", code="cannot_keep")
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name


class _Reader:
    """A JSON tree as the value that it was."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], texts: list[str]) -> None:
        self.arrays = arrays
        self.texts = texts

    def value(self, tree: Any) -> Any:
        """The value of a tree."""
        if isinstance(tree, list):
            return [self.value(one) for one in tree]
        if not isinstance(tree, dict):
            return tree
        match tree[KIND]:
            case "float":
                return float(tree["value"])
            case "time":
                return pd.Timestamp(tree["value"]).as_unit(tree["unit"])
            case "datetime":
                return datetime.fromisoformat(tree["value"])
            case "array":
                return self.arrays[tree["name"]]
            case "booster":
                return lgb.Booster(model_str=self.texts[tree["index"]])
            case "tuple":
                return tuple(self.value(one) for one in tree["items"])
            case "mapping":
                return {self.value(key): self.value(one) for key, one in tree["items"]}
            case "model":
                return _class(tree["class"]).model_validate(self.value(tree["value"]))
            case "dataclass":
                content = {name: self.value(one) for name, one in tree["fields"].items()}
                return _made(_class(tree["class"]), content)
        raise ValueError(f"unknown kind {tree[KIND]!r}")


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in PACKAGES


def _class(name: str) -> Any:
    """A dataclass or pydantic model of the project; nothing else can be named."""
    module, _, path = name.partition(":")
    if module.partition(".")[0] not in PACKAGES:
        raise ValueError(f"{name} is no class of the project")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, BaseModel)):
        raise ValueError(f"{name} is neither a dataclass nor a model")
    return found


def _made(cls: type, content: dict[str, Any]) -> object:
    """A dataclass as it was: its arguments, then what it learned later."""
    known = {one.name: one for one in fields(cls)}
    if unknown := set(content) - set(known):
        raise ValueError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    made = cls(**{name: one for name, one in content.items() if known[name].init})
    for name, one in content.items():
        if not known[name].init:
            object.__setattr__(made, name, one)
    return made
