"""The latest history of a symbol, straight from its exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import pandas as pd

from features.errors import UsageError
from features.raw import LedgerEntry
from features.sources.exchange.binance import BinanceUsdm
from features.sources.exchange.bybit import Bybit
from features.sources.exchange.connection import Connection, Patience
from features.sources.exchange.fetched import Fetched
from features.sources.exchange.markets import Perpetual, find_perpetual, perpetuals
from features.sources.exchange.okx import Okx
from features.sources.exchange.plan import Plan, milliseconds
from features.sources.exchange.reading import Reading
from features.sources.exchange.venue import Venue

__all__ = ["EXCHANGES", "Exchange"]

EXCHANGES: dict[str, type[Venue]] = {venue.exchange: venue for venue in (BinanceUsdm, Okx, Bybit)}
"""By ccxt's name."""
_CLOCK_TOLERANCE = pd.Timedelta(minutes=1)


def _utc_now() -> pd.Timestamp:
    return pd.Timestamp.now(tz="UTC")


class Exchange:
    """One venue, asked for many symbols; the list of contracts and the clock are read once.

    Nothing is asked when it is made. Use it as a context manager, so that its sockets close.

    Parameters
    ----------
    exchange : {"binanceusdm", "okx", "bybit"}
        ccxt's name.
    url : str, optional
        Of a mirror: takes the place of scheme and host in all addresses of the venue.
    now : callable, optional
        Our clock, UTC.
    patience : Patience, optional
        Tries, waits and pace.

    Attributes
    ----------
    venue : str
        ``binance``, ``okx`` or ``bybit``: the ``source`` of the rows.

    Raises
    ------
    UsageError
        For an exchange that is not supported, or a ``url`` that is no HTTP address.

    Examples
    --------
    >>> with Exchange("okx") as exchange:
    ...     exchange.venue
    'okx'
    """

    def __init__(
        self,
        exchange: str,
        *,
        url: str | None = None,
        now: Callable[[], pd.Timestamp] = _utc_now,
        patience: Patience | None = None,
    ) -> None:
        if exchange not in EXCHANGES:
            raise UsageError(
                f"--exchange is {exchange!r}, expected one of {', '.join(EXCHANGES)}", field="exchange"
            )
        kind = EXCHANGES[exchange]
        self._line = Connection(exchange, kind.options, kind.rows, url=url, patience=patience or Patience())
        self._venue = kind(self._line)
        self._now = now
        self._known: dict[str, Perpetual] | None = None
        self._skew = pd.Timedelta(0)
        self.venue = kind.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets."""
        self._line.close()

    @property
    def requests(self) -> int:
        """HTTP requests so far."""
        return self._line.requests

    def symbols(self) -> list[str]:
        """Names of the USDT-margined perpetuals that the venue lists.

        Raises
        ------
        BearmodeError
            If the venue gives no answer.
        """
        return sorted(self._contracts())

    def fetch(
        self,
        symbol: str,
        interval: str,
        *,
        since: Mapping[str, pd.Timestamp | None],
        until: pd.Timestamp,
    ) -> Fetched:
        """New rows of one symbol. All of them or an error: never a part.

        Parameters
        ----------
        symbol : str
            Such as ``BTCUSDT``.
        interval : {"1h", "4h", "1d"}
            Of the bars; the other tables do not depend on it.
        since : mapping of str to pandas.Timestamp or None
            By ``bars``, ``funding``, ``open_interest``, ``positioning``, ``taker_volume``: rows
            after that time, which is that of the newest row held (for bars its OPEN). ``None``: as
            far back as the venue keeps it, or some months (bars need a time). A kind that is not
            named is not asked for.
        until : pandas.Timestamp
            Rows known by then, that moment included; never later than now by our clock and by the
            venue's.

        Raises
        ------
        UsageError
            For an unknown interval or kind, times without a zone, bars without a beginning.
        NothingUsableError
            ``unknown_symbol``, with near names.
        BearmodeError
            ``exchange_restricted``, ``exchange_unreachable`` or ``exchange_refused``.
        """
        if until.tz is None:
            raise UsageError("until has no time zone, expected UTC", field="until")
        plan = self._plan(interval, since, until)
        if not plan.wants():
            return Fetched(self.venue, symbol, interval)
        before = self.requests
        market = find_perpetual(symbol, self._contracts(), self._venue.exchange)
        plan = self._plan(interval, since, until)  # again: by now the venue's clock is known
        now_forms = plan.end // plan.step == milliseconds(self._clock()) // plan.step
        reading = Reading(self._venue, market, plan, forming=now_forms)
        reading.read()
        ledger = (*self._clock_entry(), *reading.ledger)
        return Fetched(self.venue, symbol, interval, reading.tables, ledger, self.requests - before)

    def _plan(self, interval: str, since: Mapping[str, pd.Timestamp | None], until: pd.Timestamp) -> Plan:
        return Plan(type(self._venue), interval, since, milliseconds(min(until, self._clock())))

    def _clock(self) -> pd.Timestamp:
        """The earlier of our clock and the venue's: a bar that only one calls complete may not be."""
        return self._now() + min(self._skew, pd.Timedelta(0))

    def _contracts(self) -> dict[str, Perpetual]:
        if self._known is None:
            self._skew = self._line.server_skew(self._now)
            markets = self._line.ask("the list of contracts", lambda client: client.load_markets())
            known = perpetuals(markets.values())
            if not known:
                raise self._line.nonsense("the list of contracts", "it holds no USDT perpetual")
            self._known = known
        return self._known

    def _clock_entry(self) -> list[LedgerEntry]:
        if abs(self._skew) <= _CLOCK_TOLERANCE:
            return []
        seconds = abs(self._skew.total_seconds())
        side = "ahead of" if self._skew > pd.Timedelta(0) else "behind"
        detail = f"{self._venue.exchange}'s clock is {seconds:,.0f} s {side} ours; the earlier one counts"
        return [LedgerEntry("clock_differs", "clock", detail=detail)]
