"""A replay file on the grid of the bars: what was answered, when it may be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.bars import FloatArray
from features.errors import DataError, NothingUsableError
from features.regimes import REGIMES
from features.signals import CONFIRMING

__all__ = ["Answered", "answered_span", "check_replay", "on_grid"]

HELD_HOURS = 24
"""A bar without an answer keeps the last one for so long; after that there is none."""
_NUMBERS = (
    "short_share",
    "size_factor",
    "leverage_short",
    "leverage_long",
    "p_bear",
    "p_relief_rally",
    "p_bull",
)
_NEEDED = ("time", "symbol", "regime", "side", *_NUMBERS, "adverse_excursion", "signals", "in_sample")
_SIDES = {"short": -1, "long": 1, "flat": 0}


@dataclass(frozen=True)
class Answered:
    """Answers at bar closes; arrays of shape (n_bars, n_symbols), NaN or -1 where there is none.

    Attributes
    ----------
    regime : ndarray of int
    side : ndarray of int8
        1 long, -1 short, 0 flat or not answered.
    short_share, size_factor, excursion, leverage_short, leverage_long : ndarray
    bearish, bullish : ndarray of int
        Of the confirming signals, how many say so.
    confirmed : ndarray of bool
        Whether the signals confirm a bear.
    back_to_bear : ndarray of bool
        A relief rally that the probabilities see falling back.
    used, in_sample, unanswered : int
        Rows used; left out because the model had seen them; without an answer.
    """

    regime: npt.NDArray[np.int64]
    side: npt.NDArray[np.int8]
    short_share: FloatArray
    size_factor: FloatArray
    excursion: FloatArray
    leverage_short: FloatArray
    leverage_long: FloatArray
    bearish: npt.NDArray[np.int64]
    bullish: npt.NDArray[np.int64]
    confirmed: npt.NDArray[np.bool_]
    back_to_bear: npt.NDArray[np.bool_]
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
    if not len(there[~there["in_sample"]]):
        raise NothingUsableError(
            "the replay file has no answer that the model had not seen already",
            hint="make it with bearmode replay --walk-forward",
        )


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
        table[~usable] = np.nan
        table = table.reset_index(drop=True).ffill(limit=limit)
        table[in_sample] = np.nan
        for name in table:
            columns.setdefault(str(name), []).append(table[name].to_numpy(np.float64))
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
        excursion=stack["excursion"],
        leverage_short=stack["leverage_short"],
        leverage_long=stack["leverage_long"],
        confirmed=stack["bearish"] >= CONFIRMING,
        back_to_bear=stack["p_bear"] > np.maximum(stack["p_relief_rally"], stack["p_bull"]),
        used=used,
        in_sample=seen,
        unanswered=without,
    )


def _numbers(mine: pd.DataFrame) -> pd.DataFrame:
    names = {name: place for place, name in enumerate(REGIMES)}
    signals = mine["signals"].astype("object").where(mine["signals"].notna(), "")
    return pd.DataFrame(
        {
            "regime": mine["regime"].astype("object").map(names).astype(np.float64),
            "side": mine["side"].astype("object").map(_SIDES).astype(np.float64),
            **{name: mine[name].astype("Float64").to_numpy(np.float64, na_value=np.nan) for name in _NUMBERS},
            "excursion": mine["adverse_excursion"].to_numpy(np.float64),
            "bearish": signals.map(lambda text: text.count("=bearish")).astype(np.float64),
            "bullish": signals.map(lambda text: text.count("=bullish")).astype(np.float64),
        },
        index=mine.index,
    )
