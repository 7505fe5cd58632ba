"""Where market history comes from: files of your own, or a simulated market.

Each source gives :class:`features.raw.RawMarket` tables; none of them touches the network at
import.
"""

from features.sources.files import load_files
from features.sources.loading import SOURCES, load_histories, load_raw, parse_date, parse_symbols
from features.sources.simulated import load_simulated

__all__ = [
    "SOURCES",
    "load_files",
    "load_histories",
    "load_raw",
    "load_simulated",
    "parse_date",
    "parse_symbols",
]
