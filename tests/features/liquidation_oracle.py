"""The liquidation map by its rules, one position after the other: slow, with a running list."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from histories import FloatArray

from features.families.liquidation_model import LiquidationModel
from features.history import History

__all__ = ["Oracle", "oracle"]

Position = tuple[int, int, float]  # day opened, price cell of the liquidation (mirrored for longs), share


@dataclass
class Oracle:
    """What the rules say of one side; arrays have one entry a bar."""

    living: FloatArray
    swept: FloatArray
    books: list[list[Position]]


def oracle(history: History, side: int, model: LiquidationModel) -> Oracle:
    """Walk through a history without gaps whose first bar is a UTC day's first.

    Nothing is known before ``memory_days`` are full; the caller compares from there on.
    """
    per_day, n = history.per_day, len(history)
    high, low, close, volume, usd = (
        history.column(name).tolist() for name in ("high", "low", "close", "volume", "open_interest")
    )
    against = [side * math.log(high[t] if side == 1 else low[t]) for t in range(n)]
    in_slice = max(1, model.slice_hours * per_day // 24)
    living, swept = np.full(n, np.nan), np.full(n, np.nan)
    book: list[Position] = []
    books: list[list[Position]] = []
    for t in range(n):
        reached = math.floor(against[t] / model.cell)
        swept[t] = sum(share for _, cell, share in book if cell <= reached)
        book = [position for position in book if position[1] > reached]
        if (t + 1) % per_day == 0:
            day = t // per_day
            start = t + 1 - per_day
            if day > 0:
                coins, earlier = usd[t] / close[t], usd[start - 1] / close[start - 1]
                opened = max(0.0, 1 - (1 - model.daily_turnover) * earlier / coins)
                first = day - model.memory_days + 1
                book = [(d, cell, share * (1 - opened)) for d, cell, share in book if d >= first]
                total = sum(volume[start : t + 1])
                for begin in range(start, t + 1, in_slice):
                    end = begin + in_slice
                    traded = sum(volume[begin:end])
                    money = sum(volume[k] * (high[k] + low[k] + close[k]) / 3 for k in range(begin, end))
                    farthest = max([side * math.log(close[end - 1]), *against[end : t + 1]])
                    for leverage, part in zip(model.leverages, model.leverage_weights, strict=True):
                        factor = (1 + side / leverage) / (1 + side * model.maintenance_rate)
                        price = side * math.log(money / traded * factor)
                        cell = math.floor(price / model.cell)
                        if cell > math.floor(farthest / model.cell):
                            book.append((day, cell, opened * traded / total * part))
            books.append(list(book))
        living[t] = sum(share for _, _, share in book)
    return Oracle(living, swept, books)
