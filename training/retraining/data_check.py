"""The data of a retraining, looked at before anything is fitted.

The gate scores challenger and champion on the same rows. Where the rows themselves are wrong, both are
wrong alike and the scores hardly move. So the past is compared with what the champion learned from, and
bars and labels with what a market can look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isclose, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.audit.price_checks import price_findings
from features.audit.tables import Table
from features.errors import BundleError, DataError
from features.history import History
from features.raw import interval_delta
from serving.bundle import champion, champion_folder
from serving.predictor import Predictor
from training.dataset import Dataset
from training.health.market_now import window_drift
from training.making.learned_from import Months, months_of, read_months
from training.promotion import load_champion, walk_forward_folder
from training.retraining.gate_proof import source_of
from training.retraining.gate_settings import GateSettings

__all__ = ["DataFinding", "Known", "examine_data", "known_past", "refuse_bad_data"]

SAME = 1e-6
"""Relative difference up to which a month's mean is the same one, read from another format."""
FEWEST_BAD_BARS = 5
"""So many bars of a symbol may be odd, however short its history."""
_ODD_BARS = frozenset({"outlier_bar", "open_jump"})


@dataclass(frozen=True)
class DataFinding:
    """Something about the data that a person should know.

    Attributes
    ----------
    name : {"changed_past", "odd_bars", "label_spells", "feature_drift"}
    symbol : str
    value, bound : float
        What was found, and from where on the data are refused; a finding that never refuses has no bound.
    refused : bool
    words : str
    """

    name: str
    symbol: str
    value: float
    bound: float | None
    refused: bool
    words: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form, for the journal."""
        return asdict(self)


@dataclass(frozen=True)
class Known:
    """The champion and what it learned from, as far as they are there."""

    predictor: Predictor | None = None
    months: Months | None = None


def known_past(bundles: Path) -> Known:
    """Read the champion's record; what is missing or broken is left out: the gate speaks of that."""
    try:
        if champion(bundles) is None:
            return Known()
        return Known(load_champion(bundles), read_months(walk_forward_folder(champion_folder(bundles))))
    except BundleError:
        return Known()


def examine_data(
    dataset: Dataset, known: Known, settings: GateSettings, since: pd.Timestamp | None = None
) -> list[DataFinding]:
    """Examine the histories and labels of a training table, and compare them with the champion's.

    Parameters
    ----------
    dataset : Dataset
    known : Known
    settings : GateSettings
    since : pandas.Timestamp, optional
        Where the history was cut on purpose: what lies before it is not missed.

    Returns
    -------
    list of DataFinding
        Empty where there is nothing to say.
    """
    found: list[DataFinding] = []
    same_source = known.predictor is not None and known.predictor.manifest.data_source == source_of(dataset)
    if same_source and known.months is not None:
        found += _changed_past(dataset.histories, known.months, settings, since)
    for index, history in enumerate(dataset.histories):
        found += _odd_bars(history, settings)
        found += _label_spells(dataset, index, settings)
    return found + _drift(dataset, known.predictor)


def refuse_bad_data(findings: Sequence[DataFinding]) -> None:
    """Stop where the data cannot be learned from.

    Raises
    ------
    DataError
        ``suspect_data``, with every reason.
    """
    reasons = [one.words for one in findings if one.refused]
    if reasons:
        raise DataError(
            "; ".join(reasons),
            code="suspect_data",
            hint="mend the history (bearmode audit shows it) or leave the symbol out with --symbols; "
            "where the change is right, raise the limit under [gate] in bearmode.toml for one run",
        )


def _changed_past(
    histories: Sequence[History], before: Months, settings: GateSettings, since: pd.Timestamp | None
) -> list[DataFinding]:
    """Months that are not what the champion learned from; those at the ends may be cut anywhere."""
    found = []
    now = months_of([one for one in histories if one.symbol in before])
    for symbol, months in now.items():
        inner = sorted(before[symbol])[1:-1]
        if since is not None:
            inner = [month for month in inner if month > f"{since:%Y-%m}"]
        changed = [month for month in inner if not _same(before[symbol][month], months.get(month))]
        if not changed:
            continue
        share = len(changed) / len(inner)
        refused = len(changed) > 1 and share > settings.changed_months
        words = (
            f"{symbol}: {len(changed)} of {len(inner)} months ({changed[0]} to {changed[-1]}) are not what "
            f"the champion learned from; up to {settings.changed_months:.0%} may change (changed_months)"
        )
        found.append(DataFinding("changed_past", symbol, share, settings.changed_months, refused, words))
    return found


def _same(before: dict[str, float | None], now: dict[str, float | None] | None) -> bool:
    """Whether a month is what it was; a value that was not known then is no change."""
    if now is None:
        return False
    for name, value in before.items():
        if value is None:
            continue
        today = now.get(name)
        if today is None or not isclose(value, today, rel_tol=SAME, abs_tol=1e-9):
            return False
    return True


def _odd_bars(history: History, settings: GateSettings) -> list[DataFinding]:
    """Bars that no trade explains: prints that come back, opens far from the close before."""
    there = np.isfinite(history.column("close"))
    time = history.time.as_unit("ms").asi8
    names = ("open", "high", "low", "close", "volume")
    bars = Table("bars", time[there], {name: history.column(name)[there] for name in names}, 0.0, "bars")
    step = int(interval_delta(history.interval) / pd.Timedelta(milliseconds=1))
    odd = [
        one
        for one in price_findings(bars, step, int(time[-1]))
        if one.kind in _ODD_BARS and one.severity != "note"
    ]
    count = sum(one.count for one in odd)
    if not count:
        return []
    allowed = max(FEWEST_BAD_BARS, settings.odd_bars * int(there.sum()))
    words = (
        f"{history.symbol}: {count} of {there.sum():,} bars are odd (the first at {odd[0].start}: "
        f"{odd[0].detail}); up to {allowed:.0f} may be (odd_bars)"
    )
    return [DataFinding("odd_bars", history.symbol, float(count), allowed, count > allowed, words)]


def _label_spells(dataset: Dataset, index: int, settings: GateSettings) -> list[DataFinding]:
    """Hindsight labels last for weeks, whatever the market: switching costs them something."""
    rows = np.flatnonzero((dataset.symbol == index) & (dataset.y >= 0))
    history = dataset.histories[index]
    years = len(rows) / (history.per_day * 365)
    if not len(rows):
        return []
    switches = int((np.diff(dataset.y[rows]) != 0).sum())
    a_year = switches / max(years, 1.0)
    if a_year <= settings.label_spells:
        return []
    words = (
        f"{history.symbol}: the hindsight labels change {a_year:,.0f} times a year; a market has about 12, "
        f"up to {settings.label_spells:.0f} are believed (label_spells)"
    )
    return [DataFinding("label_spells", history.symbol, a_year, settings.label_spells, True, words)]


def _drift(dataset: Dataset, predictor: Predictor | None) -> list[DataFinding]:
    """Features that left what the champion's training ever saw: a reason to retrain, and to look."""
    if predictor is None:
        return []
    manifest = predictor.manifest
    if [one.name for one in manifest.features] != [one.name for one in dataset.features]:
        return []
    found = []
    for index, symbol in enumerate(dataset.symbols):
        rows = np.flatnonzero((dataset.symbol == index) & dataset.sampled & dataset.present)
        for number, window in enumerate(manifest.drift.windows):
            recent = rows[dataset.time[rows] > dataset.time[rows].max() - pd.Timedelta(days=window.days)]
            moved = window_drift(predictor, number, dataset.X[recent], dataset.rows_per_day)
            if not isfinite(moved.share) or moved.share <= moved.largest:
                continue
            words = (
                f"{symbol}: {moved.share:.0%} of its features moved in the last {window.days} days further "
                f"than 95 % of the training's windows did; no such window had more than {moved.largest:.0%}"
            )
            found.append(DataFinding("feature_drift", symbol, moved.share, None, refused=False, words=words))
            break
    return found
