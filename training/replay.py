"""The job ``replay``: for each bar, what the endpoint would have answered then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.context import with_context
from features.errors import BundleError
from features.history import History
from features.raw import interval_delta
from features.regimes import REGIMES
from serving.plan import SHARES
from serving.predictor import AnsweredRow, Predictor
from serving.schemas import Advice
from training.promotion import load_champion, walk_forward_folder

__all__ = ["context_symbols", "replay", "replay_models"]


@dataclass(frozen=True)
class ReplayModel:
    """A model and the bars that it answers.

    Attributes
    ----------
    predictor : Predictor
    start, end : pandas.Timestamp or None
        Bar closes that it answers, ``start`` included, ``end`` excluded; ``None``: no bound.
    """

    predictor: Predictor
    start: pd.Timestamp | None
    end: pd.Timestamp | None


def replay_models(bundles: Path, *, walk_forward: bool, bundle: Path | None = None) -> list[ReplayModel]:
    """Load the champion, or its walk-forward models, oldest first.

    Raises
    ------
    BundleError
        If there is no champion, or it has no walk-forward models beside it.
    """
    predictor = load_champion(bundles) if bundle is None else Predictor.load(bundle)
    if not walk_forward:
        return [ReplayModel(predictor, None, None)]
    folder = predictor.bundle.folder
    folds = walk_forward_folder(folder)
    names = sorted(path.name for path in folds.iterdir() if path.is_dir()) if folds.is_dir() else []
    if not names:
        raise BundleError(
            f"{folder.name} has no walk-forward models beside it ({folds} is missing)",
            hint="train here: the folds' models are kept where they were made",
        )
    starts = [pd.Timestamp(f"{name}-01", tz="UTC") for name in names]
    ends: list[pd.Timestamp | None] = [*starts[1:], None]
    return [
        ReplayModel(Predictor.load(folds / name), start, end)
        for name, start, end in zip(names, starts, ends, strict=True)
    ]


def replay(
    histories: list[History],
    models: list[ReplayModel],
    *,
    since: pd.Timestamp,
    until: pd.Timestamp | None = None,
    progress: Callable[[str], None] = lambda _name: None,
) -> pd.DataFrame:
    """Replay some symbols.

    Parameters
    ----------
    histories : list of History
        Whole histories: the first answers need a window before ``since``. Where a model looks across
        markets and none of them carries context, they become each other's.
    models : list of ReplayModel
    since, until : pandas.Timestamp
        Bar closes, ``since`` included, ``until`` excluded.
    progress : callable
        Told each symbol as it begins.

    Returns
    -------
    pandas.DataFrame
        A row for every bar asked for; ``regime`` is null where there is no answer, with
        ``reason``. ``in_sample`` is true where the model had seen the bar or its labels' prices: at
        or before the end of what it was trained on.
    """
    rows: list[dict[str, object]] = []
    universe = context_symbols(models)
    if universe and not any(history.context for history in histories):
        histories = with_context(histories, universe)
    for history in histories:
        progress(history.symbol)
        answered = {
            row.time: (row, model.predictor)
            for model in models
            for row in _span(history, model, since, until)
        }
        keep = history.time[(history.time >= since) & (history.time < (until or _after(history)))]
        for time in keep:
            row, predictor = answered.get(time, (AnsweredRow(time, None, "no_model_yet"), None))
            rows.append(_flat(history.symbol, row, predictor))
    frame = pd.DataFrame(rows, columns=list(_flat("", _NOTHING, None)))
    for name in ("time", "since"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[ms, UTC]")
    return frame.astype(_TYPES)


def context_symbols(models: Iterable[ReplayModel]) -> list[str]:
    """Symbols that any of the models looks across, sorted."""
    return sorted({name for model in models for name in model.predictor.manifest.context_symbols})


def _span(
    history: History, model: ReplayModel, since: pd.Timestamp, until: pd.Timestamp | None
) -> Iterator[AnsweredRow]:
    start = since if model.start is None else max(since, model.start)
    end = model.end if until is None else (until if model.end is None else min(until, model.end))
    if end is None or start < end:
        yield from model.predictor.replay(history, start, end)


def _after(history: History) -> pd.Timestamp:
    return history.time[-1] + interval_delta(history.interval)


_NUMBERS = tuple(range(1, len(SHARES) + 1))
"""Of the tranches."""
_TYPES = {
    **dict.fromkeys(("symbol", "regime", "side", "prediction_set", "signals"), "str"),
    **dict.fromkeys(("degraded", "model_version", "reason"), "str"),
    **{f"p_{name}": "float64" for name in REGIMES},
    **dict.fromkeys(("short_share", "size_factor", "leverage", "leverage_short"), "float64"),
    **dict.fromkeys(("leverage_long", "leverage_cap", "adverse_excursion", "liquidation_price"), "float64"),
    **dict.fromkeys(("worst_liquidation_price", "stop_price", "target_price"), "float64"),
    **dict.fromkeys((f"tranche_{n}_{part}" for n in _NUMBERS for part in ("share", "price")), "float64"),
    **dict.fromkeys((f"tranche_{n}_trigger" for n in _NUMBERS), "str"),
    **dict.fromkeys(("band_lower", "band_mean", "band_upper", "funding_per_day"), "float64"),
    **dict.fromkeys(("rally_phase", "haircuts"), "str"),
    **dict.fromkeys(("agreeing", "available"), "Int64"),
    "effective_signals": "float64",
    "since_at_least": "boolean",
    "in_sample": "bool",
}
"""The same types whatever the rows hold, also where none is answered."""

_NOTHING = AnsweredRow(pd.Timestamp(0, tz="UTC"), None, None)


def _plan(advice: Advice | None) -> dict[str, object]:
    """The orders in prices, null where there are none; sizes need an account, which a replay has not."""
    tranches = [] if advice is None else advice.tranches
    found: dict[str, object] = {
        "stop_price": None if advice is None else advice.stop_price,
        "target_price": None if advice is None else advice.target_price,
    }
    for number in _NUMBERS:
        one = tranches[number - 1] if number <= len(tranches) else None
        for part in ("share", "price", "trigger"):
            found[f"tranche_{number}_{part}"] = None if one is None else getattr(one, part)
    band, rally, funding = (
        (None, None, None) if advice is None else (advice.band, advice.rally, advice.funding_per_day)
    )
    return {
        **found,
        **{
            f"band_{part}": None if band is None else getattr(band, part)
            for part in ("lower", "mean", "upper")
        },
        "rally_phase": None if rally is None else rally.phase,
        "funding_per_day": None if funding is None else funding.rate,
        "haircuts": None if advice is None else ",".join(cut.name for cut in advice.haircuts),
    }


def _flat(symbol: str, row: AnsweredRow, predictor: Predictor | None) -> dict[str, object]:
    """One row of the replay file."""
    answer = row.answer
    training = None if predictor is None else predictor.manifest.training
    advice = None if answer is None else answer.advice
    survival = None if advice is None else advice.survival
    return {
        "time": row.time,
        "symbol": symbol,
        "regime": None if answer is None else answer.regime,
        **{f"p_{name}": None if answer is None else getattr(answer.probabilities, name) for name in REGIMES},
        "side": None if advice is None else advice.side,
        "short_share": None if advice is None else advice.short_share,
        "size_factor": None if advice is None else advice.size_factor,
        "leverage": None if advice is None else advice.leverage,
        "leverage_short": None if advice is None else advice.leverage_short,
        "leverage_long": None if advice is None else advice.leverage_long,
        "leverage_cap": None if advice is None else advice.leverage_cap,
        "adverse_excursion": None if survival is None else survival.adverse_excursion,
        "liquidation_price": None if survival is None else survival.liquidation_price,
        "worst_liquidation_price": None if survival is None else survival.worst_liquidation_price,
        **_plan(advice),
        "since": None if answer is None else answer.since,
        "since_at_least": None if answer is None else answer.since_at_least,
        "prediction_set": None if answer is None else ",".join(answer.prediction_set),
        "signals": None if answer is None else ",".join(f"{one.name}={one.state}" for one in answer.signals),
        "agreeing": None if answer is None else answer.agreeing,
        "available": None if answer is None else answer.available,
        "effective_signals": None if answer is None else answer.effective_signals,
        "degraded": None if answer is None else ",".join(answer.degraded),
        "model_version": None if predictor is None else predictor.version,
        "in_sample": training is not None and row.time <= pd.Timestamp(training.trained_until),
        "reason": row.reason,
    }
