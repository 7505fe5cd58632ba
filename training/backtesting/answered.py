"""A replay file on the grid of the bars: what was answered, when it may be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError, NothingUsableError
from features.regimes import REGIMES

__all__ = ["Answered", "answered_span", "check_replay", "on_grid"]

HELD_HOURS = 24
"""A bar without an answer keeps the last one for so long; after that there is none."""
_SHARES = ("tranche_1_share", "tranche_2_share", "tranche_3_share")
_PRICES = ("tranche_1_price", "tranche_2_price", "tranche_3_price", "stop_price")
_NUMBERS = ("short_share", "size_factor", "leverage_short", "leverage_long", *_PRICES, "target_price")
_NEEDED = ("time", "symbol", "regime", "side", *_NUMBERS, *_SHARES, "signals", "in_sample")
_SIDES = {"short": -1, "long": 1, "flat": 0}


@dataclass(frozen=True)
class Answered:
    """Answers at bar closes; arrays of shape (n_bars, n_symbols), NaN or -1 where there is none.

    Attributes
    ----------
    regime : ndarray of int
    side : ndarray of int8
        1 long, -1 short, 0 flat or not answered.
    short_share, size_factor, leverage_short, leverage_long : ndarray
    first, second, third, stop, target : ndarray
        Prices of the plan; NaN where the answer has none.
    shares : tuple of float
        Of the three tranches.
    bearish, bullish : ndarray of int
        Of the confirming signals, how many say so.
    used, in_sample, unanswered : int
        Rows used; left out because the model had seen them; without an answer.
    """

    regime: npt.NDArray[np.int64]
    side: npt.NDArray[np.int8]
    short_share: FloatArray
    size_factor: FloatArray
    leverage_short: FloatArray
    leverage_long: FloatArray
    first: FloatArray
    second: FloatArray
    third: FloatArray
    stop: FloatArray
    target: FloatArray
    shares: tuple[float, float, float]
    bearish: npt.NDArray[np.int64]
    bullish: npt.NDArray[np.int64]
    used: int
    in_sample: int
    unanswered: int


def check_replay(frame: pd.DataFrame) -> None:
    """Refuse what is no replay file, or one that no backtest may use.

    Raises
    ------
    DataError
        If columns are missing, rows are double, or values are none that an answer has.
    NothingUsableError
        If no row is answered out of sample.
    """
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise DataError(
            f"the replay file lacks {', '.join(missing)}",
            code="bad_replay",
            hint="make it with bearmode replay --walk-forward",
        )
    if frame["in_sample"].isna().any() or not pd.api.types.is_bool_dtype(frame["in_sample"]):
        raise DataError("in_sample of the replay file is not true or false in every row", code="bad_replay")
    if not isinstance(frame["time"].dtype, pd.DatetimeTZDtype):
        raise DataError("time of the replay file has no time zone", code="bad_replay")
    if frame.duplicated(["symbol", "time"]).any():
        raise DataError("the replay file has two rows for a bar of a symbol", code="bad_replay")
    there = frame[frame["regime"].notna()]
    for column, known in (("regime", set(REGIMES)), ("side", set(_SIDES))):
        strange = set(there[column].dropna().unique()) - known
        if strange or there[column].isna().any():
            raise DataError(
                f"the replay file has a {column} of {sorted(strange) or 'nothing'}", code="bad_replay"
            )
    limits = {
        "short_share": (0, 1),
        "size_factor": (0, 1),
        "leverage_short": (0, 125),
        "leverage_long": (0, 125),
    }
    for column, (low, high) in limits.items():
        if not there[column].between(low, high).all():
            raise DataError(f"{column} of the replay file is not between {low} and {high}", code="bad_replay")
    _check_plan(there)
    if not len(there[~there["in_sample"]]):
        raise NothingUsableError(
            "the replay file has no answer that the model had not seen already",
            hint="make it with bearmode replay --walk-forward",
        )


def _check_plan(there: pd.DataFrame) -> None:
    """Tranches come with all their prices and a stop beyond them, and always in the same shares."""
    planned = there[there["stop_price"].notna()]
    prices = planned[[*_PRICES]]
    if prices.isna().any(axis=None) or not (prices > 0).all(axis=None):
        raise DataError("a plan of the replay file lacks a price above 0", code="bad_replay")
    against = np.where(planned["side"] == "short", 1.0, -1.0)
    if not (np.diff(prices.to_numpy(np.float64), axis=1) * against[:, None] >= 0).all():
        raise DataError("a plan of the replay file has its prices in the wrong order", code="bad_replay")
    if len(planned[[*_SHARES]].drop_duplicates()) > 1:
        raise DataError("the shares of the tranches change within the replay file", code="bad_replay")


def answered_span(frame: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last bar close that is answered out of sample."""
    there = frame.loc[frame["regime"].notna() & ~frame["in_sample"], "time"]
    return there.min(), there.max()


def on_grid(frame: pd.DataFrame, time: pd.DatetimeIndex, symbols: tuple[str, ...]) -> Answered:
    """Align answers with bars; rows in sample count as not answered, at once."""
    hours = (time[1] - time[0]) / pd.Timedelta(hours=1) if len(time) > 1 else 1.0
    limit = max(int(HELD_HOURS / hours), 1)
    columns: dict[str, list[npt.NDArray[np.float64]]] = {}
    used = seen = without = 0
    for symbol in symbols:
        mine = frame[frame["symbol"] == symbol].set_index("time").reindex(time)
        in_sample = mine["in_sample"].astype("boolean").fillna(False).to_numpy(bool)
        usable = mine["regime"].notna().to_numpy() & ~in_sample
        used, seen = used + int(usable.sum()), seen + int(in_sample.sum())
        without += int((~usable & ~in_sample).sum())
        table = _numbers(mine)
        place = np.arange(len(time))
        newest = np.maximum.accumulate(np.where(usable, place, -1))
        there = (newest >= 0) & (place - newest <= limit) & ~in_sample
        for name in table:  # whole answers are held: what one leaves out is not an older one's
            values = table[name].to_numpy(np.float64)[newest]
            columns.setdefault(str(name), []).append(np.where(there, values, np.nan))
    stack = {name: np.column_stack(values) for name, values in columns.items()}

    def count(name: str) -> npt.NDArray[np.int64]:
        return np.nan_to_num(stack[name], nan=-1).astype(np.int64)

    return Answered(
        regime=count("regime"),
        bearish=count("bearish"),
        bullish=count("bullish"),
        side=np.nan_to_num(stack["side"]).astype(np.int8),
        short_share=stack["short_share"],
        size_factor=stack["size_factor"],
        leverage_short=stack["leverage_short"],
        leverage_long=stack["leverage_long"],
        first=stack["tranche_1_price"],
        second=stack["tranche_2_price"],
        third=stack["tranche_3_price"],
        stop=stack["stop_price"],
        target=stack["target_price"],
        shares=_shares(frame),
        used=used,
        in_sample=seen,
        unanswered=without,
    )


def _shares(frame: pd.DataFrame) -> tuple[float, float, float]:
    planned = frame.loc[frame["stop_price"].notna(), [*_SHARES]]
    first, second, third = planned.iloc[0].tolist() if len(planned) else (1.0, 0.0, 0.0)
    return float(first), float(second), float(third)


def _numbers(mine: pd.DataFrame) -> pd.DataFrame:
    names = {name: place for place, name in enumerate(REGIMES)}
    signals = mine["signals"].astype("object").where(mine["signals"].notna(), "")
    return pd.DataFrame(
        {
            "regime": mine["regime"].astype("object").map(names).astype(np.float64),
            "side": mine["side"].astype("object").map(_SIDES).astype(np.float64),
            **{name: mine[name].astype("Float64").to_numpy(np.float64, na_value=np.nan) for name in _NUMBERS},
            "bearish": signals.map(lambda text: text.count("=bearish")).astype(np.float64),
            "bullish": signals.map(lambda text: text.count("=bullish")).astype(np.float64),
        },
        index=mine.index,
    )
