"""Checks of bars: impossible ones, outliers, jumps, prices that stand still, no volume."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.audit.checks import CHECKS
from features.audit.excursions import excursions
from features.audit.findings import BoolArray, Finding, FloatArray, IntArray, Severity
from features.audit.tables import Table, crowded, finding, hours, runs
from features.bar_rules import PRICE_COLUMNS

__all__ = ["price_findings", "robust_sigma"]

_DAY = 86_400_000
_WINDOW_DAYS, _WINDOW_BARS = 14, 60
_NORMAL = 1.4826  # sigma of a normal law over its median absolute value
_LEAST_SHARE = 0.1
_LEAST_SIGMA = 1e-5
_USUAL_VOLUME = 3.0


def price_findings(bars: Table, step: int, now: int) -> list[Finding]:
    """Look at the bars one by one and against their neighbours.

    Parameters
    ----------
    bars : Table
    step : int
        Length of a bar in milliseconds.
    now : int
        Milliseconds; a bar that closes later is still forming.
    """
    found = _grid_findings(bars, step)
    later = bars.time > now
    if later.any():
        rows = np.flatnonzero(later)
        words = "closes later than the time of the audit: still forming"
        found.append(
            finding("future_rows", "bars", bars.time[rows[0]], bars.time[rows[-1]], len(rows), words)
        )
    wrong = _impossible(bars)
    found += _run_findings("impossible_bar", bars.time, wrong, lambda a, _: _fault(bars, a))
    good = bars.present & ~wrong
    if not good.any():
        return found
    time = bars.time[good]
    part = {name: bars.column(name)[good] for name in (*PRICE_COLUMNS, "volume")}
    found += _outliers(time, part, step)
    found += _volume(time, part["volume"])
    return found + _stuck(time, part["close"])


def _grid_findings(bars: Table, step: int) -> list[Finding]:
    off = bars.time % step != 0
    if not off.any():
        return []
    rows = np.flatnonzero(off)
    words = "bars off the UTC grid of their interval, between two others"
    return [finding("double_rows", "bars", bars.time[rows[0]], bars.time[rows[-1]], len(rows), words)]


def _impossible(bars: Table) -> BoolArray:
    prices = np.stack([bars.column(name) for name in PRICE_COLUMNS])
    opened, high, low, close = prices
    volume = bars.column("volume")
    with np.errstate(invalid="ignore"):
        wrong = ~(np.isfinite(prices) & (prices > 0)).all(axis=0)
        wrong |= (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
        wrong |= np.isinf(volume) | (volume < 0)
    return np.asarray(wrong & bars.present)


def _fault(bars: Table, row: int) -> str:
    return ", ".join(f"{name} {bars.column(name)[row]:.8g}" for name in (*PRICE_COLUMNS, "volume"))


def robust_sigma(change: FloatArray, window: int) -> FloatArray:
    """Sigma of one-bar changes around each row, which a few wild ones do not move.

    Parameters
    ----------
    change : ndarray of shape (n_rows,)
        Log-returns per bar; NaN where there is none.
    window : int
        Rows of the centred window.

    Returns
    -------
    ndarray of shape (n_rows,)
        1.4826 times the median absolute change of the bars that moved at all, so that a market that
        stood still makes no outliers of the bars after it; at least a tenth of that of the whole.
    """
    size = np.where(change == 0, np.nan, np.abs(change))
    whole = float(np.nanmedian(size)) * _NORMAL if np.isfinite(size).any() else 0.0
    local = pd.Series(size).rolling(window + 1, center=True, min_periods=max(window // 4, 1)).median()
    least = max(_LEAST_SHARE * whole, _LEAST_SIGMA)
    return np.maximum(local.fillna(whole).to_numpy(np.float64) * _NORMAL, least)


def _outliers(time: IntArray, part: dict[str, FloatArray], step: int) -> list[Finding]:
    level = np.log(part["close"])
    bars_between = np.diff(time, prepend=time[0] - step) / step
    near = bars_between * step <= _DAY
    near[0] = False
    change = np.diff(level, prepend=np.nan) / np.sqrt(np.maximum(bars_between, 1))
    change[~near] = np.nan
    per_day = _DAY // step
    window = max(_WINDOW_DAYS * per_day, _WINDOW_BARS)
    sigma = robust_sigma(change, window)
    size = np.nan_to_num(np.abs(change) / sigma)
    body = np.maximum(part["open"], part["close"]), np.minimum(part["open"], part["close"])
    wick = np.maximum(np.log(part["high"] / body[0]), np.log(body[1] / part["low"])) / sigma
    volume = part["volume"]
    usual = pd.Series(volume).rolling(window + 1, center=True, min_periods=1).median().to_numpy(np.float64)
    times_usual = np.divide(volume, usual, out=np.full(len(time), np.nan), where=usual > 0)
    limit = CHECKS["outlier_bar"].limit
    found, seen, printed = [], np.zeros(len(time), dtype=bool), np.zeros(len(time), dtype=bool)
    for first, last, returned in excursions(level, size > limit, longest=per_day):
        seen[first : last + (2 if returned else 1)] = True
        printed[first : last + 2] |= returned
        back = f", back after {hours((last + 1 - first) * step / 3_600_000)}" if returned else ""
        moved = 100 * float(np.expm1(level[first] - level[first - 1]))
        words = f"close {moved:+.1f} %, {size[first]:.0f} sigma{back}; {_traded(times_usual[first])}"
        severity = _severity(returned, times_usual[first])
        found.append(
            finding(
                "outlier_bar",
                "bars",
                time[first],
                time[last],
                last + 1 - first,
                words,
                worst=float(size[first]),
                severity=severity,
            )
        )
    for row in np.flatnonzero((wick > limit) & ~seen).tolist():
        words = f"wick of {wick[row]:.0f} sigma; {_traded(times_usual[row])}"
        found.append(
            finding(
                "outlier_bar",
                "bars",
                time[row],
                time[row],
                1,
                words,
                worst=float(wick[row]),
                severity=_severity(True, times_usual[row]),
            )
        )
    found.sort(key=lambda one: str(one.start))
    return crowded(found) + _open_jumps(time, part, (bars_between == 1) & ~printed, sigma)


def _severity(returned: bool, times_usual: float) -> Severity:
    """A shock of the market trades; a price that leaves and returns without trade is a bad print."""
    if times_usual >= _USUAL_VOLUME:
        return "note"
    return "error" if returned else "warning"


def _traded(times_usual: float) -> str:
    return "no volume known" if np.isnan(times_usual) else f"{times_usual:.1f} times the usual volume"


def _open_jumps(
    time: IntArray, part: dict[str, FloatArray], neighbour: BoolArray, sigma: FloatArray
) -> list[Finding]:
    jump = np.log(part["open"]) - np.roll(np.log(part["close"]), 1)
    jump[0] = 0.0
    flag = neighbour & (np.abs(jump) > np.maximum(CHECKS["open_jump"].limit, sigma))
    return crowded(
        [
            finding(
                "open_jump",
                "bars",
                time[row],
                time[row],
                1,
                f"opens {100 * np.expm1(jump[row]):+.2f} % from the close before",
                worst=100 * float(np.expm1(jump[row])),
            )
            for row in np.flatnonzero(flag).tolist()
        ]
    )


def _volume(time: IntArray, volume: FloatArray) -> list[Finding]:
    found = _run_findings("zero_volume", time, volume == 0, lambda *_: "no volume")
    missing = np.isnan(volume)
    return found + _run_findings("zero_volume", time, missing, lambda *_: "the volume is missing")


def _stuck(time: IntArray, close: FloatArray) -> list[Finding]:
    same = np.diff(close, prepend=np.nan) == 0
    least = int(CHECKS["stuck_price"].limit)
    found = [
        finding(
            "stuck_price",
            "bars",
            time[first - 1],
            time[last],
            last + 2 - first,
            f"the close is {close[last]:.8g} throughout",
        )
        for first, last in runs(same)
        if last + 2 - first >= least
    ]
    return crowded(found)


def _run_findings(kind: str, time: IntArray, flag: BoolArray, words: object) -> list[Finding]:
    """One finding for each run of flagged rows."""
    found = [
        finding(kind, "bars", time[first], time[last], last + 1 - first, words(first, last))  # type: ignore[operator]
        for first, last in runs(flag)
    ]
    return crowded(found)
