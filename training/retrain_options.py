"""Options of ``train`` and ``retrain``, apart from the jobs so that the command line starts without them."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "DryRunOption",
    "EveryOption",
    "FitWorkersOption",
    "FreshOption",
    "NoUpdateOption",
    "RecipeOption",
]

NoUpdateOption = Annotated[
    bool, typer.Option("--no-update", help="Learn from the store as it is; it is not brought up to date.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what each step would do and why; write nothing.")
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="Throw away what an earlier run has kept; do every step.")
]
EveryOption = Annotated[
    str | None,
    typer.Option(
        "--every",
        help="Stay and run again at fixed times, five minutes after the bar close: 1d, 6h.",
        show_default=False,
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", help="A recipe file, or 'default'.", show_default=False),
]
FitWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Processes that fit the folds; by default this one alone, with a thread for each core.",
        show_default=False,
    ),
]
