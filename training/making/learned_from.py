"""What a model learned from, month by month and symbol by symbol: a record small enough to keep.

It lies beside the bundle, with the models of its walk, and is no part of it. A later retraining compares
today's history with it: a past that has changed is seen there before anything is fitted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import BundleError
from features.history import History
from features.json_file import write_json

__all__ = ["LEARNED_FROM", "Months", "months_of", "read_months", "write_months"]

LEARNED_FROM = "learned-from.json"

Months = dict[str, dict[str, dict[str, float | None]]]
"""Symbol to month (``2024-03``) to numbers: ``bars`` there, mean log ``close``, mean log ``range`` (high
over low), mean ``funding`` rate, mean log ``open_interest``; ``None`` where none of it is known."""


def months_of(histories: Sequence[History]) -> Months:
    """Numbers of each calendar month, by bar closes, UTC."""
    return {history.symbol: _of_one(history) for history in histories}


def _of_one(history: History) -> dict[str, dict[str, float | None]]:
    close = history.column("close")
    with np.errstate(divide="ignore", invalid="ignore"):
        values = pd.DataFrame(
            {
                "close": np.log(close),
                "range": np.log(history.column("high") / history.column("low")),
                "funding": history.column("funding_rate"),
                "open_interest": np.log(history.column("open_interest")),
            }
        )
    month = pd.Series(history.time.strftime("%Y-%m"))
    means = values.groupby(month).mean()
    bars = pd.Series(np.isfinite(close)).groupby(month).sum()
    return {
        str(name): {
            "bars": float(bars[name]),
            **{str(k): None if np.isnan(v) else float(f"{v:.12g}") for k, v in means.loc[name].items()},
        }
        for name in means.index
    }


def write_months(folder: Path, histories: Sequence[History]) -> None:
    """Write the record into the folder of a bundle's walk-forward models."""
    write_json(folder / LEARNED_FROM, months_of(histories))


def read_months(folder: Path) -> Months | None:
    """Read the record; ``None`` where a bundle has none.

    Raises
    ------
    BundleError
        If the file is there and is no record.
    """
    file = folder / LEARNED_FROM
    try:
        found = json.loads(file.read_bytes())
        return {
            str(symbol): {str(month): dict(numbers) for month, numbers in months.items()}
            for symbol, months in found.items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BundleError(f"{file} cannot be read: {error}", hint="remove it: it is a record only") from error
