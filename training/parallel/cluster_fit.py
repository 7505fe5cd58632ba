"""The model of a table that no machine's memory holds, fitted by ``lightgbm.dask``.

A symbol is a part: a worker reads it, weighs it and keeps it; together the workers hold the table, and only
sums, a sample of rows and the finished trees come back. What differs from the fit of one process:

- the number of rounds is the recipe's; nothing is stopped early;
- each worker draws its own share of the rows for a tree, and the borders of the bins are found by all
  workers together, so that thresholds lie elsewhere than one process would put them. The model is as good,
  not the same; which worker held which symbol plays a part, so two such fits need not be equal either;
- a logistic base is fitted on the sample; a base of log shares needs none and is exact.

The rest is the same: thresholds and leaves are made exact in single precision, and the graph is proven.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.bars import FloatArray
from features.errors import DataError, TrainingError
from features.parallel.outcomes import Tell
from features.parallel.symbol_tasks import each_symbol
from features.regimes import REGIMES
from training.dataset import ROW_HOURS
from training.models.boosted_logistic import BoostedLogistic, BoostingSettings, exact_in_single

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["Load", "Rows", "fit_on_cluster", "table_rows"]

SAMPLE_ROWS = 2000
"""Rows of each part that come back: the exactness of the trees is proven on them."""


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one part.

    Attributes
    ----------
    X : ndarray of float32, shape (n_rows, n_features)
    y : ndarray of int8, shape (n_rows,)
    spell : ndarray of int, shape (n_rows,)
        Number of the unbroken run of one label that a row belongs to, within the part.
    """

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.int8]
    spell: npt.NDArray[np.int64]


Load = Callable[[str], Rows]
"""Gives a part by its name, on a worker: a function of a module, or a ``functools.partial`` of one."""


def table_rows(symbol: str, *, table: Path, features: Sequence[str], every_hours: int = ROW_HOURS) -> Rows:
    """Labelled rows of one symbol of a feature table that ``python -m features.build --labels`` wrote.

    Parameters
    ----------
    symbol : str
    table : Path
        As the workers see it.
    features : sequence of str
        Columns, in the model's order.
    every_hours : int
        Rows at hours of the day that it divides; 1 for bars of four hours or a day.

    Raises
    ------
    DataError
        If the table has no labels or lacks a feature.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = ["time", "hindsight_regime", *features]
    try:
        found = pq.read_table(table, columns=columns, filters=[("symbol", "==", symbol)])
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{table} is no feature table that {symbol} can be read from: {error}", code="bad_table"
        ) from error
    lacking = sorted(set(columns) - set(found.column_names))
    if lacking:
        raise DataError(
            f"{table} has no {', '.join(lacking)}",
            code="bad_table",
            hint="write it with python -m features.build --labels",
        )
    frame = found.to_pandas()
    y = frame["hindsight_regime"].map({name: code for code, name in enumerate(REGIMES)})
    y = y.fillna(-1).to_numpy(np.int8)
    spell = np.cumsum(np.diff(y, prepend=-2) != 0)
    X = np.ascontiguousarray(frame[list(features)].to_numpy(np.float32))
    hours = frame["time"].dt.hour.to_numpy()
    kept = (y >= 0) & (hours % every_hours == 0) & np.isfinite(X).any(axis=1)  # no bar: no features
    return Rows(X[kept], y[kept], spell[kept].astype(np.int64))


def fit_on_cluster(
    settings: BoostingSettings, load: Load, parts: Sequence[str], *, scheduler: str, spell_power: float
) -> BoostedLogistic:
    """Fit base and trees to the rows of all parts, on the workers of a Dask cluster.

    Parameters
    ----------
    settings : BoostingSettings
    load : callable
    parts : sequence of str
        At least as many as the cluster has workers, or some have nothing to do.
    scheduler : str
        Address, such as ``tcp://10.0.0.5:8786``.
    spell_power : float
        See :func:`training.dataset.spell_weights`.

    Raises
    ------
    TrainingError
        If a regime is nowhere in the parts.
    BearmodeError
        If a part cannot be read, or the cluster cannot do the work.
    """
    seen: list[_Seen] = []
    task = partial(_look, load=load, spell_power=spell_power)
    with closing(each_symbol(task, list(parts), scheduler=scheduler)) as outcomes:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            if outcome.result is not None and outcome.result.rows:
                seen.append(outcome.result)
    count = np.sum([one.count for one in seen], axis=0, initial=0)
    missing = [
        name for name, rows in zip(REGIMES, np.broadcast_to(count, len(REGIMES)), strict=True) if not rows
    ]
    if missing:
        raise TrainingError(f"none of {len(parts)} parts shows {', '.join(missing)}")
    scale = count / np.sum([one.weight for one in seen], axis=0)
    sample, y, weight = (
        np.concatenate([getattr(one, name) for one in seen])
        for name in ("sample", "sample_y", "sample_weight")
    )
    model = BoostedLogistic(settings)
    if settings.prior:  # all that it takes from the rows is the shares of the regimes
        model.fit_base(sample, np.arange(len(REGIMES), dtype=np.int8), count.astype(np.float64))
    else:
        model.fit_base(sample, y, weight * scale[y])
    work = partial(_part, load=load, spell_power=spell_power, scale=scale, base=model)
    booster = _boosted(settings, work, seen, scheduler)
    model.booster = exact_in_single(booster, sample, threads=settings.threads)
    return model


@dataclass(frozen=True)
class _Seen:
    """What is known of a part after the first look."""

    name: str
    rows: int
    count: npt.NDArray[np.int64]
    weight: FloatArray
    sample: npt.NDArray[np.float32]
    sample_y: npt.NDArray[np.int8]
    sample_weight: FloatArray


def _spell_weight(rows: Rows, power: float) -> FloatArray:
    """Weights before each regime gets the total of its rows in all parts."""
    _, inverse, count = np.unique(rows.spell, return_inverse=True, return_counts=True)
    return np.asarray(count[inverse].astype(np.float64) ** -power)


def _look(name: str, tell: Tell, *, load: Load, spell_power: float) -> _Seen:
    rows = load(name)
    weight = _spell_weight(rows, spell_power)
    some = np.unique(np.linspace(0, max(len(rows.y) - 1, 0), SAMPLE_ROWS).astype(np.intp))[: len(rows.y)]
    tell(name, 1, 1)
    return _Seen(
        name,
        len(rows.y),
        np.bincount(rows.y, minlength=len(REGIMES)),
        np.asarray(np.bincount(rows.y, weights=weight, minlength=len(REGIMES)), dtype=np.float64),
        rows.X[some],
        rows.y[some],
        weight[some],
    )


def _part(
    name: str, *, load: Load, spell_power: float, scale: FloatArray, base: BoostedLogistic
) -> tuple[Any, ...]:
    """Rows, labels, weights and starting log-odds of a part; on a worker."""
    rows = load(name)
    weight = _spell_weight(rows, spell_power) * scale[rows.y]
    return rows.X, rows.y.astype(np.int64), weight, base.base_log_odds(rows.X)


def _boosted(
    settings: BoostingSettings,
    work: Callable[[str], tuple[Any, ...]],
    seen: Sequence[_Seen],
    scheduler: str,
) -> lgb.Booster:
    import dask  # noqa: PLC0415 - an extra
    import dask.array as da  # noqa: PLC0415
    import distributed  # noqa: PLC0415
    import lightgbm as lgb  # noqa: PLC0415

    classes, columns = len(REGIMES), seen[0].sample.shape[1]
    pieces = [dask.delayed(work, nout=4)(one.name) for one in seen]
    X, y, weight, start = (
        da.concatenate(
            [
                da.from_delayed(piece[index], shape=(one.rows, *width), dtype=kind)
                for piece, one in zip(pieces, seen, strict=True)
            ]
        )
        for index, (width, kind) in enumerate(
            [((columns,), np.float32), ((), np.int64), ((), np.float64), ((classes,), np.float64)]
        )
    )
    with warnings.catch_warnings(), distributed.Client(scheduler, set_as_default=False) as client:
        warnings.simplefilter(
            "ignore"
        )  # versions were compared; and what the wrapper says of its own options
        model = lgb.DaskLGBMClassifier(client=client, **_settings(settings))
        with client.as_current():
            model.fit(X, y, sample_weight=weight, init_score=start)
    text = re.sub(
        r"(?m)^\[(machines|num_machines|local_listen_port):.*\]\n", "", model.booster_.model_to_string()
    )
    return lgb.Booster(model_str=text)


def _settings(settings: BoostingSettings) -> dict[str, Any]:
    """The settings under the wrapper's names, which would otherwise set its own defaults beside them."""
    given = settings.boosting()
    names = {
        "learning_rate": "learning_rate",
        "num_leaves": "num_leaves",
        "min_data_in_leaf": "min_child_samples",
        "lambda_l2": "reg_lambda",
        "feature_fraction": "colsample_bytree",
        "bagging_fraction": "subsample",
        "bagging_freq": "subsample_freq",
        "seed": "random_state",
    }
    left = {"num_class", "num_threads", *names}  # threads are the worker's own
    return {
        "n_estimators": settings.rounds,
        **{name: given[ours] for ours, name in names.items()},
        **{name: value for name, value in given.items() if name not in left},
    }
