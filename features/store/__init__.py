"""The store: raw tables of each symbol as Parquet, changed whole or not at all.

    <store>/<SYMBOL>/manifest.json               what it holds: partitions, gap ledger, files read
    <store>/<SYMBOL>/<kind>/<period>.<hash>.parquet

Partition files are named by their content and never change; a change writes new ones and then
replaces the manifest, so a reader sees the symbol before or after it, never a mixture.
"""

from features.store.change import Change
from features.store.kinds import KINDS, MARKET_WIDE, Kind, kind_of
from features.store.ledgers import ledger_of
from features.store.manifest import KindState, SourceFile, SymbolState, milliseconds
from features.store.store import Store

__all__ = [
    "KINDS",
    "MARKET_WIDE",
    "Change",
    "Kind",
    "KindState",
    "SourceFile",
    "Store",
    "SymbolState",
    "kind_of",
    "ledger_of",
    "milliseconds",
]
