"""``python -m serving``: the service by its settings alone, where the command line of training is not.

Reads ``bearmode.toml`` and ``BEARMODE_*`` as ``bearmode serve`` does; there are no options.
"""

from __future__ import annotations

import sys

from serving.server import serve

if __name__ == "__main__":
    sys.exit(serve())
