"""How the served artifact is made and proven: dataset, folds, model, calibration, evaluation, export.

Imports ``features`` and ``serving``; nothing imports it but the command line.
"""
