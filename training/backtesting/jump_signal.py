"""The jump model's likeliest regime at each bar, refitted before each half-year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.default_set import default_features
from features.errors import TrainingError
from features.history import History
from training.dataset import build_dataset
from training.splits import WalkForward

__all__ = ["jump_regimes"]


def jump_regimes(histories: Sequence[History], time: pd.DatetimeIndex) -> npt.NDArray[np.int64]:
    """Regimes on a grid of closes, shape (n_bars, n_symbols); -1 where no half-year could be fitted.

    Raises
    ------
    TrainingError
        If no half-year of the span can be fitted.
    """
    from training.models.state_models import StatisticalJump  # noqa: PLC0415

    cheap = [one for one in default_features() if one.group == "trend"][:1] or list(default_features()[:1])
    dataset = build_dataset(list(histories), tuple(cheap))
    regime = np.full(len(dataset.y), -1, dtype=np.int64)
    stamps = pd.DatetimeIndex(dataset.time)
    failures: list[str] = []
    for fold in WalkForward().split(stamps, dataset.confirmed_at):
        inside = np.flatnonzero((stamps >= fold.start) & (stamps < fold.end))
        if not len(inside) or fold.end <= time[0]:
            continue
        rows = fold.train[dataset.usable[fold.train]]
        model = StatisticalJump()
        try:
            model.fit(dataset, rows, fold.cut)
        except TrainingError as error:
            failures.append(error.message)
            continue
        regime[inside] = np.argmax(model.answer(dataset, inside), axis=1)
    if (regime < 0).all():
        raise TrainingError(failures[-1] if failures else "no half-year of the span can be fitted")
    columns = []
    for place in range(len(dataset.symbols)):
        mine = dataset.symbol == place
        columns.append(
            pd.Series(regime[mine], index=stamps[mine]).reindex(time, fill_value=-1).to_numpy(np.int64)
        )
    return np.column_stack(columns)
