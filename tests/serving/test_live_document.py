"""What docs/live.md says is so."""

from __future__ import annotations

import re
import time
from pathlib import Path

from serving.live.settings import LiveSettings
from serving.live.signature import signed_headers


def test_the_table_of_settings_is_that_of_the_code(root: Path) -> None:
    text = (root / "docs" / "live.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", text.partition("## Settings")[2], re.MULTILINE)
    declared = []
    for name, field in LiveSettings.model_fields.items():
        default = "none" if field.default in {None, ()} else str(field.default)
        declared.append((name, default, field.description))
    assert rows == declared


def test_the_lines_that_verify_a_signature_do(root: Path) -> None:
    text = (root / "docs" / "live.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    genuine = names["genuine"]
    assert callable(genuine)
    headers = signed_headers(b"s" * 20, "evt_1_desk", int(time.time()), b"{}")
    assert genuine(b"s" * 20, headers, b"{}")
    assert not genuine(b"s" * 20, headers, b"{ }")
    assert not genuine(b"t" * 20, headers, b"{}")
    assert not genuine(b"s" * 20, signed_headers(b"s" * 20, "evt_1_desk", 1_704_067_200, b"{}"), b"{}")
