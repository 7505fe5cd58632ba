"""Where the workers of one service share what they count.

BentoML gives its workers one folder in the user's home for all services of that user, and empties it
whenever one of them starts: the others then count into files that nobody reads.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["METRICS_FOLDER", "use_own_folder"]

METRICS_FOLDER = "BEARMODE_METRICS_FOLDER"
"""Variable in which ``bearmode serve`` names a folder of its own to its workers."""
_THEIRS = "PROMETHEUS_MULTIPROC_DIR"


def use_own_folder() -> Path | None:
    """Count into this service's own folder from now on; call it before the first metric is made.

    Returns
    -------
    Path or None
        A folder that the workers of this service have in common; ``None`` where there is but one
        process, as in a test.
    """
    own = os.environ.get(METRICS_FOLDER)
    if own:
        os.environ[_THEIRS] = own
        return Path(own)
    theirs = os.environ.get(_THEIRS)
    if not theirs or not Path(theirs).is_dir():
        return None
    # Started by BentoML itself: other services count there, too. Ours have the same parent.
    shared = Path(theirs) / f"bearmode-{os.getppid()}"
    shared.mkdir(exist_ok=True)
    return shared
