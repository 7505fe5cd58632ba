"""The checks of the health report: each compares what was seen with a limit and gives its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import pandas as pd

from features.raw import interval_delta
from features.regimes import REGIMES
from serving.bundle import Manifest
from training.health.checks import Check, State, graded
from training.health.limits import HealthLimits
from training.health.market_now import NOVELTY_DAYS, SymbolDrift, SymbolNow
from training.health.performance import Recent
from training.health.served import Served

__all__ = [
    "age_check",
    "data_checks",
    "drift_checks",
    "performance_checks",
    "registry_check",
    "served_checks",
    "unusual_checks",
]


def age_check(manifest: Manifest, age_days: float) -> Check:
    """Fresh, stale or expired."""
    limits = manifest.advice
    state = limits.model_state(age_days)
    grades: dict[str, State] = {"fresh": "ok", "stale": "warn", "expired": "bad"}
    if age_days < 0:
        return Check("model_age", "warn", f"trained until {-age_days:.1f} days after the moment asked about")
    words = (
        f"{state}: {age_days:.1f} days old; stale after {limits.stale_after_days}, "
        f"expired after {limits.expires_after_days}"
    )
    return Check("model_age", grades[state], words)


def registry_check(difference: str | None) -> Check:
    """Whether the registry's alias names the model that serves."""
    if difference is None:
        return Check("registry", "ok", "the alias names the champion")
    return Check("registry", "warn", difference)


def data_checks(
    symbols: Sequence[SymbolNow],
    missing: Sequence[str],
    now: pd.Timestamp,
    interval: str,
    limits: HealthLimits,
) -> list[Check]:
    """Age of the newest bar of each symbol, and what is not there at all."""
    step = interval_delta(interval) / pd.Timedelta(hours=1)
    warn, bad = limits.data_warn_bars * step, max(limits.data_bad_hours, 6 * step)
    found = []
    for one in symbols:
        hours = (now - one.last_bar) / pd.Timedelta(hours=1)
        lacking = [
            words
            for words, known in (("funding", one.funding_known), ("open interest", one.open_interest_known))
            if not known
        ]
        words = f"newest bar {one.last_bar:%Y-%m-%d %H:%M}, {hours:.1f} h old (limits {warn:g} and {bad:g} h)"
        state = graded(hours, warn, bad)
        if lacking:
            words += f"; no {' and no '.join(lacking)} at it"
            state = "warn" if state == "ok" else state
        found.append(Check(f"data_{one.symbol}", state, words))
    found += [
        Check(f"data_{name}", "warn", "the model was trained on it, and there is no history")
        for name in missing
    ]
    return found


def drift_checks(symbols: Sequence[SymbolNow]) -> list[Check]:
    """Share of features beyond their limits, by length of the window; the worst symbol decides.

    One feature alone is a warning where it moved further than any did in training: an input is gone.
    """
    found = []
    for number, days in enumerate(window.days for window in symbols[0].drift):
        windows = [(one.symbol, one.drift[number]) for one in symbols]
        judged = [(name, one) for name, one in windows if isfinite(one.share)]
        if not judged:
            found.append(Check(f"drift_{days}d", "unknown", _why_no_drift([one for _, one in windows])))
            continue
        name, most = max(judged, key=lambda pair: pair[1].share)
        words = (
            f"{name}: {most.share:.0%} of the features beyond what 95 % of the training's windows stayed "
            f"within (usual up to {most.usual:.0%}, largest {most.largest:.0%})"
        )
        state = graded(most.share, most.usual, max(most.usual, most.largest))
        moved, where = max(((one.worst[0], name) for name, one in judged), key=lambda pair: pair[0].excess)
        words += f"; furthest {moved.name} of {where}, {moved.index:.2f} (limit {moved.limit:.2f})"
        if moved.excess > most.largest_excess:
            words += ", further than any feature in training"
            state = "warn" if state == "ok" else state
        found.append(Check(f"drift_{days}d", state, words))
    return found


def _why_no_drift(windows: Sequence[SymbolDrift]) -> str:
    days, rows = windows[0].days, max(one.rows for one in windows)
    if all(one.usual == 1.0 for one in windows):
        return f"the training had too few windows of {days} days to tell what is usual"
    return f"{rows} rows are too few for a window of {days} days"


def unusual_checks(symbols: Sequence[SymbolNow], limits: HealthLimits) -> list[Check]:
    """Share of recent rows that look like nothing in the training."""
    found = []
    for days in NOVELTY_DAYS:
        unusual = sum(one.unusual[days][0] for one in symbols)
        rows = sum(one.unusual[days][1] for one in symbols)
        if not rows:
            found.append(Check(f"unusual_{days}d", "unknown", "no row has half of its features"))
            continue
        share = unusual / rows
        most = max(symbols, key=lambda one: one.unusual[days][0])
        where = f", most in {most.symbol}" if unusual else ""
        words = (
            f"{unusual} of {rows} rows{where}; limits {limits.unusual_warn:.0%} and {limits.unusual_bad:.0%}"
        )
        state = graded(share, limits.unusual_warn, limits.unusual_bad)
        found.append(Check(f"unusual_{days}d", state, words))
    return found


def performance_checks(
    recent: Recent | None, metrics: Mapping[str, float], limits: HealthLimits
) -> list[Check]:
    """The last confirmed days: gap between expected and realised, coverage of the sets, recall."""
    if recent is None:
        why = "no label of an out-of-sample answer is confirmed yet"
        return [Check(name, "unknown", why) for name in ("log_loss", "coverage", "recall")]
    span = f"{recent.rows} rows, {recent.spells} spells, to {recent.until:%Y-%m-%d}"
    gap = (
        f"realised {recent.realised_log_loss:.3f}, expected {recent.expected_log_loss:.3f}: "
        f"{recent.gap:+.3f} (limits {limits.gap_warn:+g} and {limits.gap_bad:+g}); {span}"
    )
    coverage = (
        f"{recent.coverage:.1%} of the sets held the truth, {recent.set_size:.2f} regimes on average "
        f"(limits {limits.coverage_warn:.0%} and {limits.coverage_bad:.0%}); {span}"
    )
    return [
        Check("log_loss", graded(recent.gap, limits.gap_warn, limits.gap_bad), gap),
        Check(
            "coverage",
            graded(-recent.coverage, -limits.coverage_warn, -limits.coverage_bad),
            coverage,
        ),
        _recall_check(recent, metrics, limits),
    ]


def _recall_check(recent: Recent, metrics: Mapping[str, float], limits: HealthLimits) -> Check:
    """A regime that came in enough spells, and was found less often than in the walk-forward."""
    parts, fallen, judged = [], False, False
    for name in REGIMES:
        recall, spells = recent.recall[name], recent.spells_of[name]
        before = reference_recall(metrics, name)
        if not spells:
            continue
        enough = spells >= limits.recall_spells and before is not None
        judged |= enough
        text = f"{name.replace('_', ' ')} {recall:.0%}"
        if before is not None:
            text += f" (walk {before:.0%}, {spells} spells)"
            if enough and recall < before - limits.recall_fall:
                fallen = True
                text += " fallen"
        parts.append(text)
    words = "; ".join(parts)
    if not judged:
        words += f"; no regime came in {limits.recall_spells} spells"
    return Check("recall", "warn" if fallen else "ok" if judged else "unknown", words)


def served_checks(served: Sequence[Served], version: str, limits: HealthLimits) -> list[Check]:
    """What the champion's own answers were worth; none where nothing of it was logged."""
    found = []
    for one in served:
        if one.version != version:
            continue
        if not one.confirmed:
            words = f"{one.bars} answered bars, no label of them is confirmed yet"
            found.append(Check("served", "unknown", words))
            continue
        words = (
            f"realised {one.log_loss:.3f}, expected {one.expected_log_loss:.3f}: {one.gap:+.3f} (limits "
            f"{limits.gap_warn:+g} and {limits.gap_bad:+g}), {one.accuracy:.0%} right; {one.confirmed} of "
            f"{one.bars} answered bars, {one.spells} spells"
        )
        few = one.spells < limits.recall_spells
        if few:
            words += f", fewer than the {limits.recall_spells} that a judgement takes"
        state: State = "unknown" if few else graded(one.gap, limits.gap_warn, limits.gap_bad)
        found.append(Check("served", state, words))
    return found


def reference_recall(metrics: Mapping[str, float], name: str) -> float | None:
    """Recall of a regime in the walk-forward, from the manifest's metrics; ``None`` where it is not there."""
    for key in (f"oos/recall_{name}", f"recall_{name}"):
        if key in metrics and isfinite(metrics[key]):
            return metrics[key]
    return None
