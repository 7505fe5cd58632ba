"""The champion's health: data, age, drift, novelty, and how it did on labels confirmed since.

One look, :func:`~training.health.report.examine`, that the command ``health`` prints.
"""

from training.health.checks import Check
from training.health.limits import HealthLimits
from training.health.report import HealthReport, examine

__all__ = ["Check", "HealthLimits", "HealthReport", "examine"]
