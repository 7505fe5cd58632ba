"""Fits beyond this process: folds in processes or on a cluster, and a fit of rows that no machine holds.

What comes back from a fold is what this process would have made, to the last bit.
"""
