"""The dashboard file as Grafana reads it: panels, places, queries, variables."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

KINDS = {"row", "stat", "timeseries", "heatmap", "bargauge"}
BUILT_IN = {"__rate_interval"}


@pytest.fixture
def dashboard(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "deploy/grafana/bearmode.json").read_text())
    return found


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns = range(place["x"], place["x"] + place["w"])
    return set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))


def test_every_panel_has_a_place_of_its_own(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len(panels) > 20
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        mine = cells(panel)
        assert max(x for x, _ in mine) < 24, panel["title"]
        assert not mine & taken, panel["title"]
        taken |= mine


def test_every_panel_asks_something_that_grafana_can_draw(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert panel["type"] in KINDS
        if panel["type"] == "row":
            continue
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) >= 1
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert target["expr"].count("(") == target["expr"].count(")")


def test_every_variable_is_declared(dashboard: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z_]+)", json.dumps(dashboard))) - BUILT_IN
    assert used - {"__all"} <= declared
    assert {"datasource", "instance"} <= used
