"""The ``exchange`` source: the latest bars, funding, open interest and positioning through ccxt.

``connection`` speaks HTTP patiently and turns refusals into one clear error each; ``venue``,
``binance``, ``okx`` and ``bybit`` say what each venue keeps and how it pages; ``tables`` checks the
rows. Nothing is asked at import, and ccxt is loaded when the first question is put.

What a stamp means, venue by venue (all periods are one hour, whatever the bars are):

===========  ==========================================================================
binanceusdm  open interest and the account ratio are read AT the stamp (a row appears within
             minutes of it, and the archive's ``create_time`` rows are the same), so the value is
             known at the stamp. Open interest comes in USD. Taker volume is that of the day's
             kline, in USDT, known at the day's end.
okx          stamps of the statistics are taken as the period's BEGINNING, so the value counts as
             known one period later; if OKX meant the end, it is an hour late and never early. Open
             interest comes in USD. Daily bars are asked for as ``1Dutc`` (plain ``1D`` opens at
             UTC+8). The funding rate is the one that was paid (``realizedRate``).
bybit        open interest is read AT the stamp and comes in coins: USD is coins times the close of
             the hourly bar that ends at the stamp. The account ratio counts as known one period
             later. There is no taker volume.
===========  ==========================================================================

Funding stamps are settlements, rounded to the minute; an interval is the time since the settlement
before, snapped to 1, 2, 4 or 8 hours.
"""

from features.sources.exchange.connection import Patience
from features.sources.exchange.exchange import EXCHANGES, Exchange
from features.sources.exchange.fetched import Fetched
from features.sources.exchange.newest import newest_held

__all__ = ["EXCHANGES", "Exchange", "Fetched", "Patience", "newest_held"]
