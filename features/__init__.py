"""What the market looked like at ``t`` - and, in hindsight, what it was.

History, its sources and store, the declared features, the signals and the hindsight regimes.
"""
