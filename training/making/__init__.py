"""From a training table to a proven bundle, in steps that are kept: what was made once is not made again.

Everything here lives in a work folder of plain files (JSON, NPZ, LightGBM's own text); nothing is pickled.
"""
