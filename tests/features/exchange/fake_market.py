"""What a venue knows at one moment: the tables of a simulated market, seen through a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.raw import RawMarket

__all__ = ["DAY", "HOUR", "STEPS", "FakeMarket", "ms"]

HOUR = 3_600_000
DAY = 24 * HOUR
STEPS = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
_BOUGHT = 0.45
"""Share of the volume that takers bought."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ms(times: pd.Series | pd.DatetimeIndex) -> Ints:
    """Unix ms of UTC times."""
    return np.asarray(pd.DatetimeIndex(times).as_unit("ms").asi8)


class FakeMarket:
    """Hourly bars and what goes with them, up to the clock.

    Parameters
    ----------
    raw : RawMarket
        With hourly bars; its name ends with ``USDT``.
    clock : callable
        Unix ms.
    """

    def __init__(self, raw: RawMarket, clock: Callable[[], int]) -> None:
        if raw.interval != "1h" or not raw.symbol.endswith("USDT"):
            raise ValueError(f"{raw.symbol} {raw.interval}: expected hourly bars of a name such as BTCUSDT")
        self.symbol = raw.symbol
        self.base = raw.symbol.removesuffix("USDT")
        self._clock = clock
        self._made: dict[tuple[object, int], list[Any]] = {}
        self._opens = ms(raw.bars["open_time"])
        self._bars = raw.bars[["open", "high", "low", "close", "volume"]].to_numpy(np.float64)
        self._interest = self._hourly(raw.open_interest, "open_interest_value", 1e9)
        self._ratios = self._hourly(raw.positioning, "lsr_global", 1.0)
        funding = raw.funding
        self._settled = np.empty(0, np.int64) if funding is None else ms(funding["time"])
        self._rates = np.empty(0) if funding is None else funding["funding_rate"].to_numpy(np.float64)

    def once(self, name: object, make: Callable[[], list[Any]]) -> list[Any]:
        """The rows that ``make`` gives at this moment, made once: not to be changed."""
        key = (name, self._clock())
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def bars(self, interval: str, *, shift: int = 0) -> list[tuple[int, list[float]]]:
        """``(open, [open, high, low, close, volume, quote, bought])``, the last one still forming.

        ``shift`` moves the grid: OKX's plain day opens at 16:00 UTC.
        """
        return self.once(("bars", interval, shift), lambda: self._bars_now(STEPS[interval], shift))

    def _bars_now(self, step: int, shift: int) -> list[tuple[int, list[float]]]:
        now = self._clock()
        opens, rows = self._now_too(now)
        if step == HOUR:
            turnover = rows[:, 4] * rows[:, 3]
            whole = np.column_stack([rows, turnover, _BOUGHT * turnover])
            return list(zip(opens.tolist(), whole.tolist(), strict=True))
        group = (opens - shift) // step
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.empty(0, int)
        found = []
        for at, until in zip(starts, [*starts[1:], len(opens)], strict=True):
            part = rows[at:until]
            quote = float((part[:, 4] * part[:, 3]).sum())
            bar = [part[0, 0], part[:, 1].max(), part[:, 2].min(), part[-1, 3], part[:, 4].sum()]
            found.append((int(group[at] * step + shift), [*map(float, bar), quote, _BOUGHT * quote]))
        return found

    def settlements(self) -> list[tuple[int, float]]:
        """``(time, rate)`` so far."""
        there = self._settled <= self._clock()
        return list(zip(self._settled[there].tolist(), self._rates[there].tolist(), strict=True))

    def interest(self) -> list[tuple[int, float, float]]:
        """``(hour, USD, coins)`` so far; coins at the close of the hour that ends there."""
        closes = self._bars[:, 3]
        return [
            (int(at), float(usd), float(usd / close))
            for at, usd, close in zip(self._opens + HOUR, self._interest, closes, strict=True)
            if at <= self._clock()
        ]

    def ratios(self) -> list[tuple[int, float]]:
        """``(hour, long accounts per short account)`` so far."""
        return [
            (int(at), float(ratio))
            for at, ratio in zip(self._opens + HOUR, self._ratios, strict=True)
            if at <= self._clock()
        ]

    def _hourly(self, table: pd.DataFrame | None, name: str, otherwise: float) -> Floats:
        """A table's value at each bar's close; before its first row that row's."""
        if table is None or not len(table):
            return np.full(len(self._opens), otherwise)
        at = np.asarray(ms(table["time"]).searchsorted(self._opens + HOUR, side="right")) - 1
        return table[name].to_numpy(np.float64)[np.maximum(at, 0)]

    def _now_too(self, now: int) -> tuple[Ints, Floats]:
        """Complete hours, and the one that forms: half an hour's worth beside the last close."""
        complete = self._opens + HOUR <= now
        opens, rows = self._opens[complete], self._bars[complete]
        forming = now // HOUR * HOUR
        if not len(opens) or opens[-1] + HOUR != forming:
            return opens, rows
        close = rows[-1, 3]
        half = [close, close * 1.002, close * 0.999, close * 1.001, rows[-1, 4] / 2]
        return np.r_[opens, forming], np.vstack([rows, half])
