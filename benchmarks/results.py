"""How a benchmark says what it measured."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

__all__ = ["MARKET", "options", "report"]

MARKET = Path(__file__).resolve().parents[1].parent / "shared" / "market"
"""Real history for development, a folder beside the checkout; benchmarks that need it skip without."""


def options(description: str) -> argparse.Namespace:
    """Parse ``--json FILE``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures for programs")
    return parser.parse_args()


def report(name: str, figures: dict[str, Any], file: Path | None) -> None:
    """Print figures, one a line, and write them where asked."""
    print(f"{name} (Python {platform.python_version()}, {platform.machine()})")
    for key, value in figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        print(f"  {key:<44} {shown}")
    if file is not None:
        file.write_text(json.dumps({"benchmark": name, **figures}, indent=1) + "\n", encoding="utf-8")
