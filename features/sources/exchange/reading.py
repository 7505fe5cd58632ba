"""One symbol's tables, asked for as planned, with what was missing on the way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from features.raw import LedgerEntry
from features.sources.exchange.markets import Perpetual
from features.sources.exchange.paging import Row
from features.sources.exchange.plan import Plan, Want
from features.sources.exchange.refusals import VenueRefusedError
from features.sources.exchange.tables import bar_table, funding_table, runs, series_table, stamp, stamps
from features.sources.exchange.venue import DAY, HOUR, Statistic, Venue

__all__ = ["Reading"]

_PRICE_AGE = 4 * HOUR
"""A close older than this prices no open interest."""
_TABLE = tuple[pd.DataFrame, list[LedgerEntry]]


class Reading:
    """The questions of one fetch, put one after the other.

    Parameters
    ----------
    venue : Venue
    market : Perpetual
    plan : Plan
    forming : bool
        Whether the bar that now forms is asked for too, to be named and dropped.

    Attributes
    ----------
    tables : dict of str to pandas.DataFrame
        By kind of the store, without empty ones.
    ledger : list of LedgerEntry
    """

    def __init__(self, venue: Venue, market: Perpetual, plan: Plan, *, forming: bool) -> None:
        self.venue, self.market, self.plan = venue, market, plan
        self.tables: dict[str, pd.DataFrame] = {}
        self.ledger: list[LedgerEntry] = []
        self._forming = forming

    def read(self) -> None:
        """Ask for all that is wanted; prices and funding must come, a statistic may be refused."""
        wants = self.plan.wants()
        if "bars" in wants:
            self._bars(wants["bars"])
        if "funding" in wants:
            self._funding(wants["funding"])
        if "open_interest" in wants:
            self._statistic("open_interest", wants["open_interest"], self.venue.open_interest, self._interest)
        if "positioning" in wants:
            self._statistic("positioning", wants["positioning"], self.venue.positioning, self._ratio)
        kept = self.venue.taker_volume
        if "taker_volume" in wants and kept is not None:
            self._statistic("taker_volume", wants["taker_volume"], kept, self._taker)

    def _bars(self, want: Want) -> None:
        kind, step = f"bars_{self.plan.interval}", self.plan.step
        rows = self._bar_rows(self.plan.interval, step, want.first, want.last + step * self._forming)
        table, entries = bar_table(rows, kind, step, want.last)
        self._keep(kind, table, entries)
        for first, last in runs(stamps(table["open_time"]), want.first, want.last, step):
            whole = (last - first) // step + 1
            # A day and more before the first bar is a contract that was not yet listed.
            unlisted = first == want.first and last - first >= DAY
            self.ledger.append(
                LedgerEntry(
                    "no_data" if unlisted else "missing_bars",
                    kind,
                    stamp(first + step),
                    stamp(last + step),
                    whole,
                    f"{self.venue.exchange} has none before" if unlisted else "the venue has no bar here",
                )
            )

    def _funding(self, want: Want) -> None:
        # The settlement before the first wanted one gives its interval.
        first = max(0, want.first - 8 * HOUR - HOUR // 60)
        rows = self.venue.settlements(self.market, first, want.last)
        table, entries = funding_table(rows, want.asked, want.last)
        self._keep("funding", table, entries)
        self._name_absence("funding", table, want, DAY)

    def _statistic(
        self, kind: str, want: Want, kept: Statistic, ask: Callable[[Want, Statistic], _TABLE]
    ) -> None:
        try:
            table, entries = ask(want, kept)
        except VenueRefusedError as error:
            span = (stamp(want.asked).ceil("min"), stamp(want.last + kept.lag))
            self.ledger.append(LedgerEntry("no_data", kind, *span, detail=error.message))
            return
        self._keep(kind, table, entries)
        self._name_absence(kind, table, want, 3 * kept.step, kept)

    def _interest(self, want: Want, kept: Statistic) -> _TABLE:
        rows = self.venue.interest_rows(self.market, want.first, want.last)
        said = []
        if rows and all(np.isnan(row[1]) for row in rows):
            rows = self._priced(rows)
            detail = "USD is coins times the close of the hourly bar that ends then"
            said = [LedgerEntry("derived_value", "open_interest", detail=detail)]
        table, entries = series_table(
            rows,
            "open_interest",
            {"open_interest_value": "open_interest"},
            lag=kept.lag,
            optional=("open_interest_coins",),
        )
        return table, entries + said

    def _ratio(self, want: Want, kept: Statistic) -> _TABLE:
        rows = self.venue.ratio_rows(self.market, want.first, want.last)
        return series_table(rows, "positioning", {"lsr_global": "lsr_global"}, lag=kept.lag)

    def _taker(self, want: Want, kept: Statistic) -> _TABLE:
        rows = self.venue.taker_rows(self.market, want.first, want.last)
        columns = {name: name for name in ("taker_buy_usd", "taker_sell_usd")}
        return series_table(rows, "taker_volume", columns, lag=kept.lag)

    def _priced(self, rows: list[Row]) -> list[Row]:
        """Rows of coins with their value at the latest hourly close; NaN where there is none."""
        times = [row[0] for row in rows]
        bars = self.tables.get("bars_1h")
        first, last = min(times) - HOUR, max(times) - HOUR
        if bars is None or not (
            bars["open_time"].iloc[0] <= stamp(first) and bars["open_time"].iloc[-1] >= stamp(last)
        ):
            bars, _ = bar_table(self._bar_rows("1h", HOUR, first, last), "bars_1h", HOUR, last)
        closes_at = stamps(bars["open_time"]) + HOUR
        closes = bars["close"].to_numpy(np.float64)
        priced: list[Row] = []
        for time, _, coins in rows:
            at = int(closes_at.searchsorted(time, side="right")) - 1
            fresh = at >= 0 and time - closes_at[at] <= _PRICE_AGE
            priced.append((time, coins * closes[at] if fresh else np.nan, coins))
        return priced

    def _bar_rows(self, interval: str, step: int, first: int, last: int) -> list[Row]:
        return self.venue.bar_rows(self.market, interval, step, first, last)

    def _keep(self, kind: str, table: pd.DataFrame, entries: list[LedgerEntry]) -> None:
        if len(table):
            self.tables[kind] = table
        self.ledger += entries

    def _name_absence(
        self, kind: str, table: pd.DataFrame, want: Want, tolerance: int, kept: Statistic | None = None
    ) -> None:
        """Name what lies between the wanted beginning and the first row."""
        lag = 0 if kept is None else kept.lag
        start = stamp(want.asked).ceil("min")  # a row at the minute itself is wanted
        end = table["time"].iloc[0] if len(table) else stamp(want.last + lag)
        if end - start <= pd.Timedelta(milliseconds=tolerance):
            return
        name, words = self.venue.exchange, kind.replace("_", " ")
        if want.cut and kept is not None and kept.kept is not None:
            detail = f"{name} keeps {round(kept.kept / DAY)} days of {words}"
        elif len(table):
            detail = f"{name} has no {words} before"
        else:
            detail = f"{name} gave no {words}"
        self.ledger.append(LedgerEntry("no_data", kind, start, end, detail=detail))
