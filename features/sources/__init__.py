"""Where market history comes from: files of your own, or a simulated market.

Each source gives :class:`features.raw.RawMarket` tables; none of them touches the network at
import.
"""
