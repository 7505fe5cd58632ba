"""ONNX Runtime, imported here and nowhere else: with its telemetry off.

From 1.32 on its Linux wheels keep a device id in the home and send events to Microsoft unless
``ORT_DISABLE_TELEMETRY`` is set before the library starts.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

__all__ = ["ort"]
