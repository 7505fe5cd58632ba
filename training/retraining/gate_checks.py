"""The single checks of the gate: numbers in, one row out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.regimes import REGIMES
from training.bootstrap import Interval
from training.dataset import Dataset
from training.retraining.gate_settings import GateSettings
from training.retraining.gate_window import GateRows
from training.retraining.verdict import Check

__all__ = [
    "at_least",
    "at_most",
    "below",
    "better",
    "enough_spells",
    "enough_training",
    "not_worse",
    "recall_falls",
    "recall_floors",
    "worst_symbol",
]

IntArray = npt.NDArray[np.integer[Any]]


def at_most(name: str, value: float, bound: float, what: str, digits: int = 4) -> Check:
    """``value`` is not above ``bound``; NaN fails."""
    passed = bool(value <= bound)
    words = f"{what} is {value:.{digits}f}, at most {bound:.{digits}f} allowed"
    return Check(name, value, bound, passed, words)


def at_least(name: str, value: float, bound: float, what: str, digits: int = 4) -> Check:
    """``value`` is not below ``bound``; NaN fails."""
    passed = bool(value >= bound)
    words = f"{what} is {value:.{digits}f}, at least {bound:.{digits}f} needed"
    return Check(name, value, bound, passed, words)


def below(name: str, value: float, bound: float, rival: str) -> Check:
    """A log loss strictly below that of a simple rule."""
    words = f"log loss is {value:.4f}, that of {rival} {bound:.4f}; it has to be lower"
    return Check(name, value, bound, bool(value < bound), words)


def enough_spells(window: GateRows, settings: GateSettings) -> Check:
    """The window holds enough independent evidence."""
    what = "the number of independent spells in the window"
    return at_least("window_spells", float(window.spells), float(settings.min_spells), what, digits=0)


def enough_training(dataset: Dataset, learned: IntArray, settings: GateSettings) -> Check:
    """There is something to learn from before the window."""
    days = 0.0
    if len(learned):
        times = dataset.time[learned]
        days = (times.max() - times.min()) / pd.Timedelta(days=1)
    what = "the labelled history before the window, in days,"
    return at_least("training_days", days, settings.min_train_days, what, digits=0)


def not_worse(difference: Interval, settings: GateSettings, rival: str) -> Check:
    """Non-inferiority: the whole interval of the difference of log loss lies below the margin."""
    high = _high(difference)
    return Check(
        "not_worse_than_champion",
        high,
        settings.non_inferiority,
        bool(high <= settings.non_inferiority),
        f"log loss {difference.estimate:+.4f} against {rival}, "
        f"{settings.level:.0%} interval up to {high:+.4f}; up to {settings.non_inferiority:+.4f} allowed",
    )


def better(difference: Interval, settings: GateSettings, rival: str) -> Check:
    """Superiority: the whole interval of the difference of log loss lies below zero."""
    high = _high(difference)
    return Check(
        "better_than_champion",
        high,
        0.0,
        bool(high < 0.0),
        f"log loss {difference.estimate:+.4f} against {rival}, "
        f"{settings.level:.0%} interval up to {high:+.4f}; below 0 needed, since the recipe is another",
    )


def _high(difference: Interval) -> float:
    """Upper end; infinite where one block says nothing of the spread."""
    return difference.high if math.isfinite(difference.high) else math.inf


def recall_falls(
    y: IntArray, mine: IntArray, theirs: IntArray, settings: GateSettings, rival: str
) -> list[Check]:
    """No class that comes often enough is recognised much less often than by the rival."""
    found = []
    for index, name in enumerate(REGIMES):
        rows = y == index
        if rows.sum() < settings.recall_rows:
            continue
        now, before = float((mine[rows] == index).mean()), float((theirs[rows] == index).mean())
        fall = before - now
        found.append(
            Check(
                f"recall_{name}",
                fall,
                settings.recall_fall,
                bool(fall <= settings.recall_fall + 1e-9),
                f"recall of {name} is {now:.3f}, {before:.3f} with {rival}; "
                f"it may fall by {settings.recall_fall:.3f}",
            )
        )
    return found


def recall_floors(y: IntArray, mine: IntArray, settings: GateSettings) -> list[Check]:
    """Every class that comes often enough is recognised at all."""
    return [
        at_least(
            f"recall_{name}",
            float((mine[y == index] == index).mean()),
            settings.floor_recall,
            f"recall of {name}",
            digits=3,
        )
        for index, name in enumerate(REGIMES)
        if (y == index).sum() >= settings.recall_rows
    ]


def worst_symbol(
    symbol: IntArray, symbols: tuple[str, ...], mine: FloatArray, theirs: FloatArray, settings: GateSettings
) -> Check:
    """No symbol pays for the others: of the worst one."""
    rises: Mapping[str, float] = {
        symbols[index]: float((mine - theirs)[symbol == index].mean()) for index in np.unique(symbol)
    }
    name = max(rises, key=lambda one: rises[one])
    return at_most(
        "worst_symbol", rises[name], settings.symbol_rise, f"the largest rise of a symbol's log loss ({name})"
    )
