"""What the squeeze model and the leverage made from it are worth, out of fold.

``python -m benchmarks.squeeze --path DIR`` reads the champion's walk-forward bundles as they are served:
coverage of every quantile with intervals by calendar weeks, pinball losses beside plain quantiles, and weeks
held without a stop at the advised side and leverage beside a constant leverage per symbol. The replay takes
minutes; ``--replay FILE`` keeps it, and reads it where it is there.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer

from features.bars import FloatArray
from features.context import with_context
from features.history import History
from features.json_file import write_json
from features.parquet import write_parquet
from features.raw import RawMarket
from features.regimes import REGIMES
from features.sources import load_raw
from serving.margin import TAKER_FEE, Position, margin_needed, tier_for
from serving.parameters import LEVERAGE_CAP
from serving.predictor import Predictor
from serving.squeeze import symbol_factors
from training.dataset import Dataset, build_dataset
from training.promotion import load_champion, walk_forward_folder
from training.recipe import Recipe
from training.replay import replay, replay_models
from training.settings import Places
from training.squeeze.evaluation import Coverage, coverages, sharpness
from training.squeeze.outcomes import SqueezeTable, hindsight_squeezes
from training.walk_forward import Walk, walkable

SINCE, UNTIL = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC")
DAYS, LEVEL = 7, 0.995
SIDE_CELLS: dict[Position, int] = {"short": 2, "long": 5}
FEES = 2 * TAKER_FEE
DRAWS = 2000


def main(
    path: Annotated[Path, typer.Option(help="Folder of the files source.")],
    symbols: str = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,DOGEUSDT",
    replay_file: Annotated[Path | None, typer.Option("--replay", show_default=False)] = None,
    json: Annotated[Path | None, typer.Option("--json", show_default=False)] = None,
) -> None:
    """Print the tables of ``docs/squeeze.md``."""
    places = Places.load()
    champion = load_champion(places.bundles)
    recipe = Recipe.from_dict(champion.manifest.recipe)
    raw = load_raw("files", symbols.split(","), path=path, store=places.store, interval="1h")
    dataset = build_dataset([History.from_raw(one) for one in raw], recipe.selected())
    table = hindsight_squeezes(dataset, recipe.squeeze)
    answers = _answers(dataset, places.bundles, champion, replay_file)
    walk = _served_walk(dataset, recipe, table, champion, answers)
    found = list(coverages(dataset, walk, table))
    print_coverage(found)
    losses = list(sharpness(dataset, walk, table, levels=(0.5, 0.9, 0.99, 0.995, 0.999)))
    print("\n| side | days | level | model | trailing year | multiple | over year | over multiple |")
    print("|---|---|---|---|---|---|---|---|")
    for one in losses:
        numbers = f"{one.model * 1e4:.1f} | {one.trailing_year * 1e4:.1f} | {one.multiple * 1e4:.1f}"
        over = f"{one.model / one.trailing_year:.3f} | {one.model / one.multiple:.3f}"
        print(f"| {one.side} | {one.days} | {one.level:g} | {numbers} | {over} |")
    held = holds(dataset, table, answers, raw)
    study = {f"target {target:.2%}": compared(dataset, table, walk, held, target) for target in (0.005,)}
    own = float(held["liquidated"].mean())
    study[f"target {own:.2%} (as the advice was)"] = compared(dataset, table, walk, held, own)
    print_holds(held)
    for name, numbers_of in study.items():
        print(f"\n{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in numbers_of.items()))
    if json is not None:
        content = {
            "coverage": [asdict(one) for one in found],
            "pinball": [asdict(one) for one in losses],
            "constant": study,
        }
        write_json(json, content)


def _answers(dataset: Dataset, bundles: Path, champion: Predictor, kept: Path | None) -> pd.DataFrame:
    """The walk-forward replay in the dataset's order; bars outside it have no answer."""
    if kept is not None and kept.is_file():
        frame = pd.read_parquet(kept)
    else:
        histories = with_context(list(dataset.histories), champion.manifest.context_symbols)
        models = replay_models(bundles, walk_forward=True)
        frame = replay(histories, models, since=SINCE, until=UNTIL, progress=print)
        if kept is not None:
            write_parquet(frame, kept)
    keys = pd.MultiIndex.from_arrays(
        [np.array(dataset.symbols)[dataset.symbol], dataset.time.as_unit("ms")], names=("symbol", "time")
    )
    return frame.set_index(["symbol", "time"]).reindex(keys)


def _served_walk(
    dataset: Dataset, recipe: Recipe, table: SqueezeTable, champion: Predictor, answers: pd.DataFrame
) -> Walk:
    """The quantiles of the folds' bundles and the regimes of the replay."""
    walk = Walk.empty(len(dataset.y))
    beside = walk_forward_folder(champion.bundle.folder)
    order = {name: index for index, name in enumerate(REGIMES)}
    regime = answers["regime"].map(order).fillna(-1).to_numpy(np.int64)
    for index, fold in enumerate(walkable(dataset, recipe)):
        predictor = Predictor.load(beside / fold.name)
        rows = fold.test[(dataset.time[fold.test] >= SINCE) & (dataset.time[fold.test] < UNTIL)]
        known = rows[np.isfinite(table.X[rows]).all(axis=1)]
        parameters = predictor.manifest.squeeze
        factors = np.stack([symbol_factors(name, parameters) for name in dataset.symbols])
        scales = predictor.squeeze_scales(table.X[known])
        walk.squeeze[known] = scales * factors[dataset.symbol[known], :, :, None]
        walk.regime[rows], walk.fold[rows] = regime[rows], index
        walk.folds.append(fold)
    return walk


def print_coverage(found: list[Coverage]) -> None:
    """Shares held, by side, horizon and level."""
    print("\n| side | days | level | part | held | 95 % interval | weeks |\n|---|---|---|---|---|---|---|")
    for one in found:
        if one.part == "all" or (one.days == DAYS and one.level in {0.99, LEVEL}):
            interval = f"{one.low:.2%} to {one.high:.2%}"
            words = f"{one.side} | {one.days} | {one.level:g} | {one.part} | {one.share:.2%} | {interval}"
            print(f"| {words} | {one.weeks} |")


def _funding(dataset: Dataset, raw: list[RawMarket]) -> FloatArray:
    """Funding that a long pays over the days after each bar, fraction; 0 where no rate is known."""
    found = np.zeros(len(dataset.y))
    for index, market in enumerate(raw):
        if market.funding is None:
            continue
        stamps = pd.DatetimeIndex(market.funding["time"]).as_unit("ms").asi8
        total = np.concatenate(([0.0], np.cumsum(market.funding["funding_rate"].to_numpy(np.float64))))
        rows = np.flatnonzero(dataset.symbol == index)
        now = dataset.time[rows].as_unit("ms").asi8
        first, last = (np.searchsorted(stamps, now + shift, side="right") for shift in (0, DAYS * 86_400_000))
        found[rows] = total[last] - total[first]
    return found


def holds(dataset: Dataset, table: SqueezeTable, answers: pd.DataFrame, raw: list[RawMarket]) -> pd.DataFrame:
    """Weeks held without a stop: one row for each bar whose answer has a side and whose week is known.

    ``needed`` is the margin, fraction of the notional, that the week took at its worst: liquidated where
    1 / leverage is not above it.
    """
    short = (answers["side"] == "short").to_numpy()
    there = short | (answers["side"] == "long").to_numpy()
    column = np.where(short, SIDE_CELLS["short"], SIDE_CELLS["long"])
    move = table.scales[np.arange(len(column)), column] * table.sigma * np.sqrt(DAYS)
    rows = np.flatnonzero(there & np.isfinite(move))
    rate = np.array([tier_for("binance", name, 0.0).rate for name in dataset.symbols])[dataset.symbol[rows]]
    paid = _funding(dataset, raw)[rows] * np.where(short[rows], -1.0, 1.0)
    q = np.where(short[rows], np.expm1(move[rows]), -np.expm1(-move[rows]))
    needed = np.where(short[rows], (1 + q) * (1 + rate) - 1, 1 - (1 - q) * (1 - rate))
    leverage = answers["leverage"].to_numpy(np.float64)[rows]
    needed = needed + FEES + np.maximum(0.0, paid)
    return pd.DataFrame(
        {
            "row": rows,
            "symbol": dataset.symbol[rows],
            "short": short[rows],
            "regime": answers["regime"].to_numpy()[rows],
            "week": dataset.time[rows].as_unit("s").asi8 // (7 * 86_400),
            "needed": needed,
            "leverage": leverage,
            "liquidated": (leverage > 0) & (leverage * needed >= 1),
        }
    )


def compared(
    dataset: Dataset, table: SqueezeTable, walk: Walk, held: pd.DataFrame, target: float
) -> dict[str, float]:
    """The advised leverage beside a constant one for each symbol and side, as safe on the history before."""
    constant = np.full(len(dataset.y), np.nan)
    short = np.zeros(len(dataset.y), dtype=bool)
    short[held["row"]] = held["short"]
    for fold in walk.folds:
        for index, name in enumerate(dataset.symbols):
            rate = tier_for("binance", name, 0.0).rate
            for side, cell in SIDE_CELLS.items():
                move = table.scales[:, cell] * table.sigma * np.sqrt(DAYS)
                before = (dataset.symbol == index) & np.isfinite(move)
                before &= np.asarray(dataset.time + pd.Timedelta(days=DAYS) < fold.cut)
                log_move = float(np.quantile(move[before], 1 - target))
                q = np.expm1(log_move) if side == "short" else -np.expm1(-log_move)
                found = min(LEVERAGE_CAP, 1 / margin_needed(side, float(q), rate, FEES, 1.0))
                mine = fold.test[(dataset.symbol[fold.test] == index)]
                mine = mine[short[mine] == (side == "short")]
                constant[mine] = np.floor(found * 10) / 10
    plain = constant[held["row"]]
    advised = held["leverage"].to_numpy()
    ratio = [advised[held["symbol"] == i].mean() / plain[held["symbol"] == i].mean() for i in range(5)]
    return {
        "mean advised": float(advised.mean()),
        "mean constant": float(plain.mean()),
        "ratio": float(advised.mean() / plain.mean()),
        "constant liquidated %": float((plain * held["needed"] >= 1).mean() * 100),
        "advised liquidated %": float(held["liquidated"].mean() * 100),
        **{f"ratio {name}": float(one) for name, one in zip(dataset.symbols, ratio, strict=True)},
    }


def _interval(values: npt.NDArray[np.bool_], week: npt.NDArray[np.int64]) -> tuple[float, float]:
    _, place = np.unique(week, return_inverse=True)
    count, hits = np.bincount(place).astype(np.float64), np.bincount(place, weights=values)
    weeks = len(count)
    drawn = np.random.default_rng(0).multinomial(weeks, np.full(weeks, 1 / weeks), size=DRAWS)
    low, high = np.quantile((drawn @ hits) / (drawn @ count), (0.025, 0.975)).tolist()
    return float(low), float(high)


def print_holds(held: pd.DataFrame) -> None:
    """Liquidated shares and mean leverage of weeks held without a stop."""
    print("\n| part | holds | weeks | mean leverage | stood aside | liquidated | 95 % interval |")
    print("|---|---|---|---|---|---|---|")
    parts = {"all": held, "short": held[held["short"]], "long": held[~held["short"]]}
    parts |= {str(name): part for name, part in held.groupby("regime")}
    for name, part in parts.items():
        low, high = _interval(part["liquidated"].to_numpy(), part["week"].to_numpy())
        aside = (part["leverage"] == 0).mean()
        numbers = f"{part['leverage'].mean():.2f} | {aside:.1%} | {part['liquidated'].mean():.2%}"
        print(f"| {name} | {len(part):,} | {part['week'].nunique()} | {numbers} | {low:.2%} to {high:.2%} |")


if __name__ == "__main__":
    typer.run(main)
