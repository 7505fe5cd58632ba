"""How every model and baseline is measured: the same rows, scores, turns, intervals and tests.

``score`` measures one model's out-of-fold ``Answers``, ``difference`` compares two on the same bars.
"""

from training.evaluation.answers import Answers, scored_rows
from training.evaluation.blocks import leading_symbol, market_blocks
from training.evaluation.calibration_error import (
    BINS,
    IntArray,
    Reliability,
    calibration_error,
    classwise_calibration_error,
    reliability,
)
from training.evaluation.comparison import Difference, Test, diebold_mariano, difference, overlap_days
from training.evaluation.delays import Delay, Turn, hindsight_turns
from training.evaluation.metrics import (
    confusion,
    row_brier,
    row_log_loss,
    scores,
    skill,
    switches_per_year,
)
from training.evaluation.score import Score, score, spell_bootstrap
from training.evaluation.set_coverage import SetCoverage, set_coverage
from training.evaluation.turns import Turns, turns

__all__ = [
    "BINS",
    "Answers",
    "Delay",
    "Difference",
    "IntArray",
    "Reliability",
    "Score",
    "SetCoverage",
    "Test",
    "Turn",
    "Turns",
    "calibration_error",
    "classwise_calibration_error",
    "confusion",
    "diebold_mariano",
    "difference",
    "hindsight_turns",
    "leading_symbol",
    "market_blocks",
    "overlap_days",
    "reliability",
    "row_brier",
    "row_log_loss",
    "score",
    "scored_rows",
    "scores",
    "set_coverage",
    "skill",
    "spell_bootstrap",
    "switches_per_year",
    "turns",
]
