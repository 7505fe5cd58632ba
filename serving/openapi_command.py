"""The command ``openapi``: the document as a file, or on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from features.json_file import write_json
from serving.openapi import openapi_document

__all__ = ["openapi_command"]


def openapi_command(out: Path | None = None) -> None:
    """Write the OpenAPI document.

    Parameters
    ----------
    out : Path, optional
        File to write, whole or not at all; standard output by default.

    Raises
    ------
    BearmodeError
        If the file cannot be written.
    """
    document = openapi_document()
    if out is None:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        write_json(out, document)
