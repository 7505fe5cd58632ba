"""The squeeze model: nothing crosses, its graph is the model, its offsets cover, its tail is stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from scipy.stats import genpareto
from small_training import small_recipe

from features.errors import TrainingError
from serving.excursion import Squeeze, Tail
from serving.squeeze import HORIZONS, LEVELS, SIDES, squeeze_inputs, squeeze_of
from training.dataset import Dataset
from training.excursion import Excursions
from training.squeeze.fit import corrected, fit_squeeze, known_rows
from training.squeeze.graph import export_squeeze, prove_squeeze, squeeze_adversarial_rows
from training.squeeze.model import SqueezeModel
from training.squeeze.outcomes import CELLS, SqueezeTable
from training.squeeze.parameters import squeeze_parameters
from training.squeeze.settings import SqueezeSettings
from training.squeeze.tail import fit_tail, recency_weights, weighted_quantile
from training.walk_forward import Walk


@pytest.fixture(scope="module")
def table(excursions: Excursions) -> SqueezeTable:
    assert excursions.squeeze is not None
    return excursions.squeeze


@pytest.fixture(scope="module")
def model(walk: Walk) -> SqueezeModel:
    found = walk.models[-1].squeeze
    assert found is not None
    return found


@pytest.fixture(scope="module")
def odd(model: SqueezeModel, table: SqueezeTable) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return squeeze_adversarial_rows(model, table.X[np.isfinite(table.X).all(axis=1)])


def test_quantiles_never_cross_on_any_row(
    model: SqueezeModel, odd: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> None:
    with np.errstate(all="ignore"):
        scales = model.scales(odd)
    assert scales.shape == (len(odd), len(SIDES), len(HORIZONS), len(LEVELS))
    assert np.isfinite(scales).all()
    assert (scales > 0).all()
    assert (np.diff(scales, axis=3) > 0).all()


def test_the_graph_is_the_model_and_the_proof_of_it_can_fail(
    model: SqueezeModel,
    table: SqueezeTable,
    odd: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    graph = export_squeeze(model)
    assert graph == export_squeeze(model)
    rows = table.X[np.isfinite(table.X).all(axis=1)]
    assert prove_squeeze(graph, model, rows).largest_difference < 1e-12
    assert prove_squeeze(graph, model, odd).rows == len(odd)

    def edited(change: Callable[[onnx.ModelProto], None]) -> bytes:
        proto = onnx.load_from_string(graph)
        change(proto)
        return bytes(proto.SerializeToString())

    def weights(proto: onnx.ModelProto) -> None:
        for tensor in proto.graph.initializer:
            if tensor.name == "tail":
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.0001, "tail"))

    def leaf(proto: onnx.ModelProto) -> None:
        trees = next(node for node in proto.graph.node if node.op_type == "TreeEnsembleRegressor")
        next(one for one in trees.attribute if one.name == "target_weights").floats[0] += 1e-3

    for change in (weights, leaf):
        with pytest.raises(TrainingError, match="not the evaluated model"):
            prove_squeeze(edited(change), model, odd)


def test_only_outcomes_that_had_ended_count(dataset: Dataset, table: SqueezeTable, walk: Walk) -> None:
    cut = walk.models[1].trained_until
    rows = known_rows(dataset, table, cut, np.arange(2))
    assert (dataset.time[rows] + pd.Timedelta(days=7) < cut).all()
    assert (known_rows(dataset, table, cut, np.array([1])) >= len(dataset.histories[0])).all()
    worse = replace(table, scales=table.scales.copy())
    worse.scales[np.asarray(dataset.time + pd.Timedelta(days=7) >= cut)] = 99.0
    fitted = walk.models[1].squeeze
    assert fitted is not None
    again = fit_squeeze(
        dataset, worse, small_recipe().squeeze, cut, symbols=np.arange(2), blocks=4, embargo_days=5.0
    )
    assert np.array_equal(again.offsets, fitted.offsets)
    assert np.array_equal(again.scales(table.X[rows]), fitted.scales(table.X[rows]))
    assert fitted.rows == len(rows)


def test_too_short_a_history_is_refused(dataset: Dataset, table: SqueezeTable) -> None:
    cut = dataset.time[0] + pd.Timedelta(days=150)
    with pytest.raises(TrainingError, match="weeks, at least 8 are needed"):
        fit_squeeze(dataset, table, SqueezeSettings(), cut, symbols=np.arange(2), blocks=4, embargo_days=5.0)


def test_the_walk_answers_as_the_folds_models_do(walk: Walk, table: SqueezeTable, dataset: Dataset) -> None:
    for index, fitted in enumerate(walk.models):
        rows = np.flatnonzero((walk.fold == index) & np.isfinite(walk.squeeze[:, 0, 0, 0]))[::50]
        assert len(rows) > 10
        assert fitted.squeeze is not None
        symbol = dataset.symbol[rows]
        assert np.array_equal(walk.squeeze[rows], fitted.squeeze.scales_of(table.X[rows], symbol))
        factor = walk.squeeze[rows] / fitted.squeeze.scales(table.X[rows])
        assert np.log(factor[:, 1, 2, 0]) == pytest.approx(fitted.squeeze.shifts[symbol, 5])
    assert np.isnan(walk.squeeze[walk.fold < 0]).all()
    assert np.isnan(walk.squeeze[~np.isfinite(table.X).all(axis=1)]).all()


def test_offsets_hold_what_they_say_of_the_rows_that_they_come_from(model: SqueezeModel) -> None:
    """Corrected, the answers held of each level just its share of the weight, however wrong they were."""
    rng = np.random.default_rng(1)
    n = 6000
    raw = np.stack((rng.normal(-0.5, 0.2, (n, 6)), rng.normal(0.4, 0.2, (n, 6))), axis=1)
    symbol = np.repeat([0, 1], n // 2)
    target = rng.normal(0, 0.3, (n, 6)) + 0.3 * symbol[:, None] + raw[:, 1] - 0.6
    weights = rng.uniform(0.2, 1, n)
    found = corrected(model, target, raw, weights, symbol, 4.0)
    shifted = target - found.shifts[symbol]
    assert (found.shifts[1] > found.shifts[0]).all()
    for cell in range(len(CELLS)):
        upper = raw[:, 1, cell] + found.offsets[cell, 1]
        logs = [upper, *(upper + found.offsets[cell, place] for place in (2, 3))]
        for level, log in zip(LEVELS[1:4], logs, strict=True):
            assert weights[shifted[:, cell] <= log].sum() / weights.sum() == pytest.approx(level, abs=0.001)
        beyond = upper + found.offsets[cell, 4]
        assert 0 <= weights[shifted[:, cell] > beyond].sum() / weights.sum() < 0.003
        median = raw[:, 0, cell] + found.offsets[cell, 0]
        assert weights[shifted[:, cell] <= median].sum() / weights.sum() == pytest.approx(0.5, abs=0.001)


def test_one_bars_quantiles_as_the_answer_reads_them(model: SqueezeModel, table: SqueezeTable) -> None:
    row = int(np.flatnonzero(np.isfinite(table.X).all(axis=1))[500])
    scales, sigma = model.scales(table.X[row : row + 1])[0], float(table.sigma[row])
    parameters = squeeze_parameters(model, 6)
    squeeze = squeeze_of("OTHER", scales, sigma, parameters)
    assert squeeze is not None
    assert squeeze.quantile("short", 7, 0.995) == pytest.approx(np.expm1(scales[0, 2, 3] * sigma * 7**0.5))
    assert squeeze.quantile("long", 1, 0.9) == pytest.approx(-np.expm1(-scales[1, 0, 1] * sigma))
    beyond = squeeze.quantile("short", 3, 0.9999)
    assert beyond > squeeze.quantile("short", 3, 0.999)
    assert squeeze.chance("short", 3, beyond) == pytest.approx(0.0001)
    own = squeeze_of("SIMETH", scales, sigma, parameters)
    assert own is not None
    log_moves = [np.log1p(one.quantile("short", 7, 0.99)) for one in (own, squeeze)]
    assert np.log(log_moves[0] / log_moves[1]) == pytest.approx(model.shifts[1, 2])
    assert squeeze_of("SIMETH", np.where(scales > 0, np.nan, scales), sigma, parameters) is None
    assert squeeze_of("SIMETH", scales, 0.0, parameters) is None
    assert squeeze_of("SIMETH", scales, float("nan"), parameters) is None


def test_inputs_end_with_the_log_of_volatility() -> None:
    rows = squeeze_inputs(np.ones((3, 2), dtype=np.float32), np.array([0.05, 0.0, np.nan]))
    assert rows.dtype == np.float32
    assert rows[0, 2] == np.float32(np.log(0.05))
    assert np.isnan(rows[1:, 2]).all()


def test_a_fitted_tail_finds_the_law_it_was_drawn_from() -> None:
    ratios = 1 + genpareto.rvs(0.3, scale=0.2, size=4000, random_state=3)
    tail = fit_tail(ratios, 1.0, 1.5)
    assert tail.shape == pytest.approx(0.3, abs=0.08)
    expected = float(genpareto.ppf(1 - 0.1 * genpareto.sf(0.5, 0.3, scale=0.2), 0.3, scale=0.2)) + 1
    assert 1.5 * tail.factor(0.1) == pytest.approx(expected, rel=0.08)
    bounded = fit_tail(1 + np.linspace(0, 1, 500), 1.0, 2.0)  # a law with an end is not believed
    assert bounded.shape == 0.0
    assert fit_tail(np.array([1.2, 1.3]), 1.0, 1.1).shape == pytest.approx(1 / 3, abs=1e-6)


@given(st.floats(0, 0.5), st.floats(0.01, 2), st.floats(1e-6, 1))
def test_a_tail_is_monotone_and_turns_round(shape: float, scale: float, rarer: float) -> None:
    tail = Tail(shape, scale)
    factor = tail.factor(rarer)
    assert factor >= 1
    assert tail.rarer(factor) == pytest.approx(rarer, rel=1e-6)


@given(st.floats(0.9, 0.99999), st.floats(0, 4))
def test_quantile_and_chance_are_inverse_beyond_the_last_level(level: float, more: float) -> None:
    moves = {7: (0.05, 0.1)}
    squeeze = Squeeze.of_log_moves((0.5, 0.9), moves, moves, {(side, 7): Tail(0.2, 0.3) for side in SIDES})
    for side in SIDES:
        move = squeeze.quantile(side, 7, level)
        assert squeeze.chance(side, 7, move) == pytest.approx(1 - level, rel=1e-6)
        assert squeeze.chance(side, 7, move + more) <= squeeze.chance(side, 7, move)
    assert squeeze.chance("long", 7, 1.5) == 0.0


def test_a_symbol_with_a_longer_tail_is_given_more_room(
    dataset: Dataset, table: SqueezeTable, walk: Walk
) -> None:
    cut = walk.models[-1].trained_until
    wilder = replace(table, scales=np.where((dataset.symbol == 1)[:, None], 1.5 * table.scales, table.scales))
    options = {"symbols": np.arange(2), "blocks": 4, "embargo_days": 5.0}
    found = fit_squeeze(dataset, wilder, small_recipe().squeeze, cut, **options)  # type: ignore[arg-type]
    plain = walk.models[-1].squeeze
    assert plain is not None
    apart = (found.shifts[1] - found.shifts[0]) - (plain.shifts[1] - plain.shifts[0])
    assert (apart > 0.1).all()  # of log 1.5 = 0.41, drawn towards nothing by less than two years
    assert (apart < 0.41).all()


def test_old_residuals_weigh_less() -> None:
    values = np.concatenate((np.zeros(100), np.ones(100)))
    age = np.concatenate((np.full(100, 2000.0), np.zeros(100)))
    even = weighted_quantile(values, recency_weights(age, 1e9), (0.45,))
    late = weighted_quantile(values, recency_weights(age, 365.0), (0.45,))
    assert (even[0], late[0]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "changes", [{"features": ()}, {"rounds": 0}, {"survival_level": 0.5}, {"tail_from": 0.999}]
)
def test_settings_without_a_meaning_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TrainingError):
        SqueezeSettings(**changes)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="across markets"):
        SqueezeSettings(features=("breadth_20d",)).selected()
