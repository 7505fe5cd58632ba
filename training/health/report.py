"""The health report: what was looked at, the checks made of it, and the same as numbers to export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import pandas as pd

from features.history import History
from features.raw import interval_delta
from serving.drift import MODEL_STATES
from serving.predictor import Predictor
from training.health.checks import STATES, Check, worst
from training.health.examinations import (
    age_check,
    data_checks,
    drift_checks,
    performance_checks,
    registry_check,
    served_checks,
    unusual_checks,
)
from training.health.limits import HealthLimits
from training.health.market_now import SymbolNow, look
from training.health.performance import Month, Recent, by_month, last_confirmed
from training.health.recent_answers import answering_models, recent_answers
from training.health.served import Served, served_performance

__all__ = ["HealthReport", "examine"]


@dataclass(frozen=True)
class HealthReport:
    """The champion's health at one moment.

    Attributes
    ----------
    version : str
        Of the champion.
    now : pandas.Timestamp
    age_days : float
        Since the end of its training.
    checks : tuple of Check
    symbols : tuple of SymbolNow
    months : tuple of Month
        Oldest first.
    recent : Recent or None
        The last confirmed days.
    served : tuple of Served
        What the prediction log has, by bundle, the newest last.
    metrics : dict of str to float
        Names as Prometheus reads them.
    """

    version: str
    now: pd.Timestamp
    age_days: float
    checks: tuple[Check, ...]
    symbols: tuple[SymbolNow, ...]
    months: tuple[Month, ...]
    recent: Recent | None
    served: tuple[Served, ...]
    metrics: dict[str, float]

    @property
    def state(self) -> str:
        """Worst state of all checks."""
        return worst(self.checks)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form: times as ISO 8601, what is not known as null."""
        content = {name: value for name, value in asdict(self).items() if name != "now"}
        plain = _plain({"state": self.state, "now": self.now, **content})
        return dict(plain)


def examine(
    predictor: Predictor,
    histories: Sequence[History],
    now: pd.Timestamp,
    *,
    registry: str | None = None,
    missing: Sequence[str] = (),
    limits: HealthLimits | None = None,
    log: pd.DataFrame | None = None,
) -> HealthReport:
    """Look at the champion and the market.

    Parameters
    ----------
    predictor : Predictor
        The champion.
    histories : sequence of History
        Whole ones, none later than ``now``, with the context that the model needs.
    now : pandas.Timestamp
        The moment of the question.
    registry : str, optional
        How ``champion.json`` and the registry differ.
    missing : sequence of str
        Symbols that the model was trained on and that there is no history of.
    limits : HealthLimits, optional
    log : pandas.DataFrame, optional
        The prediction log.

    Returns
    -------
    HealthReport
    """
    limits = limits or HealthLimits()
    manifest = predictor.manifest
    age = (now - pd.Timestamp(manifest.training.trained_until)) / pd.Timedelta(days=1)
    end = now + interval_delta(manifest.interval)
    since = now.normalize().replace(day=1) - pd.DateOffset(months=limits.months - 1)
    answers = recent_answers(histories, answering_models(predictor, since, end))
    symbols = tuple(look(predictor, histories))
    months, recent = tuple(by_month(answers)), last_confirmed(answers, limits.confirmed_days)
    served = tuple(served_performance(log, histories)) if log is not None else ()
    checks = (
        age_check(manifest, age),
        registry_check(registry),
        *data_checks(symbols, missing, now, manifest.interval, limits),
        *drift_checks(symbols),
        *unusual_checks(symbols, limits),
        *performance_checks(recent, manifest.metrics, limits),
        *served_checks(served, predictor.version, limits),
    )
    return HealthReport(
        version=predictor.version,
        now=now,
        age_days=age,
        checks=checks,
        symbols=symbols,
        months=months,
        recent=recent,
        served=served,
        metrics=_metrics(predictor, age, now, checks, symbols, months, recent, served),
    )


def _metrics(
    predictor: Predictor,
    age: float,
    now: pd.Timestamp,
    checks: Sequence[Check],
    symbols: Sequence[SymbolNow],
    months: Sequence[Month],
    recent: Recent | None,
    served: Sequence[Served],
) -> dict[str, float]:
    state = predictor.manifest.advice.model_state(age)
    found = {
        "bearmode_health_state": float(STATES.index(worst(checks))),
        "bearmode_model_age_days": age,
        "bearmode_model_state": float(MODEL_STATES.index(state)),
    }
    for check in checks:
        if check.state == "unknown":
            continue
        found[f'bearmode_health_check{{check="{check.name}"}}'] = float(STATES.index(check.state))
    for one in symbols:
        label = f'symbol="{one.symbol}"'
        hours = (now - one.last_bar) / pd.Timedelta(hours=1)
        found[f"bearmode_data_age_hours{{{label}}}"] = hours
        for window in one.drift:
            found[f'bearmode_feature_drift_share{{{label},days="{window.days}"}}'] = window.share
        for days, (unusual, rows) in one.unusual.items():
            share = unusual / rows if rows else float("nan")
            found[f'bearmode_unusual_share{{{label},days="{days}"}}'] = share
    if months:
        found["bearmode_expected_log_loss"] = months[-1].expected_log_loss
        found["bearmode_expected_accuracy"] = months[-1].expected_accuracy
    if recent is not None:
        found["bearmode_realised_log_loss"] = recent.realised_log_loss
        found["bearmode_log_loss_gap"] = recent.gap
        found["bearmode_confirmed_spells"] = float(recent.spells)
        found["bearmode_set_coverage"] = recent.coverage
        found["bearmode_set_size"] = recent.set_size
        for name, value in recent.recall.items():
            found[f'bearmode_recall{{regime="{name}"}}'] = value
    for one_served in served:
        label = f'version="{one_served.version}"'
        found[f"bearmode_served_confirmed_bars{{{label}}}"] = float(one_served.confirmed)
        found[f"bearmode_served_accuracy{{{label}}}"] = one_served.accuracy
        found[f"bearmode_served_log_loss{{{label}}}"] = one_served.log_loss
        found[f"bearmode_served_log_loss_gap{{{label}}}"] = one_served.gap
    return {name: float(value) for name, value in found.items() if isfinite(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
