"""The declared features, a file for each family of the field.

Each declares a feature once - look-back, unit, formula in words, source, what it tells apart - and
computes it from :class:`features.bars.Bars`; :mod:`features.catalog` lists them all.
"""
