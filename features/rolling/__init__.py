"""Statistics over windows of bars: sums and means, extremes, ages, regressions, ranks.

Blocks are anchored to the epoch, so that the last row of a short window equals that of a long table to
the last bit.
"""
