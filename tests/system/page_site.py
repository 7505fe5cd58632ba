"""The real service on simulated markets, and a browser to look at its page with."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from small_training import Trained

from features.sources import load_simulated
from features.store import Store
from serving.survival import SurvivalCell, SurvivalTable

__all__ = [
    "SYMBOLS",
    "Looked",
    "Site",
    "browsing",
    "fresh_store",
    "look",
    "new_site",
    "serving",
    "write_survival",
]

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ["SIMBTC", "SIMETH"]
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(
  `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@dataclass(frozen=True)
class Site:
    """Folders of a service that need not run yet."""

    folder: Path
    bundles: Path
    store: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def get(self, path: str) -> Any:
        """JSON of a route."""
        answer = httpx.get(f"{self.url}{path}", timeout=60, trust_env=False)
        answer.raise_for_status()
        return answer.json()


def new_site(folder: Path, trained: Trained, store: Path) -> Site:
    """A site with the small champion and a store."""
    folder.mkdir(parents=True, exist_ok=True)
    bundles = folder / "bundles"
    if not bundles.exists():
        shutil.copytree(trained.places.bundles, bundles)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Site(folder, bundles, store, int(probe.getsockname()[1]))


def fresh_store(folder: Path) -> Path:
    """A store whose newest bar has just closed."""
    store = Store(folder)
    until = pd.Timestamp.now(tz="UTC").floor("4h") + pd.Timedelta(seconds=1)
    with store.writing():
        for market in load_simulated(SYMBOLS, interval="4h", until=until):
            store.write(market)
    return folder


def write_survival(site: Site, symbol: str) -> None:
    """A small table as ``bearmode survival`` leaves it."""
    cells = [
        SurvivalCell(
            view=view,
            regime=regime,
            side=side,
            leverage=leverage,
            days=days,
            probability=min(1.0, leverage * days / 200),
            low=0.0,
            high=min(1.0, leverage * days / 100),
            entries=1000,
            liquidated=10,
            weeks=52,
            blocks=52,
        )
        for view in ("online", "hindsight")
        for regime in ("any", "bear", "ranging", "relief_rally", "bull")
        for side in ("short", "long")
        for leverage in (1.0, 5.0, 20.0)
        for days in (1, 7)
    ]
    table = SurvivalTable(
        symbol=symbol,
        interval="4h",
        source="simulated",
        since="2021-01-01T00:00:00Z",
        until="2023-01-01T00:00:00Z",
        exchange="binance",
        tiers_as_of=None,
        notional=1000,
        maintenance_rate=0.03,
        largest_leverage=20,
        fee=0.0005,
        funding_known=1,
        leverages=[1, 5, 20],
        not_allowed=[50],
        days=[1, 7],
        online=None,
        notes=["margin tiers have no source"],
        cells=cells,
    )
    target = site.bundles / "survival" / f"{symbol}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(table.model_dump_json())


@contextlib.contextmanager
def serving(site: Site, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[Site]:
    """``bearmode serve`` on a site until it is ready; ended at the end."""
    given = {"STORE": str(site.store), "BUNDLES": str(site.bundles), **(settings or {})}
    environment = (
        os.environ | {"PYTHONPATH": str(ROOT)} | {f"BEARMODE_{name}": one for name, one in given.items()}
    )
    command = [sys.executable, "-m", "bearmode", "serve", "--port", str(site.port), *options]
    log = site.folder / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, text=True, cwd=site.folder
        )
        try:
            deadline = time.monotonic() + 60
            while not _ready(site.url):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
            yield site
        finally:
            process.terminate()
            process.wait(timeout=30)


def _ready(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}readyz", timeout=5, trust_env=False).status_code == 200
    return False


@dataclass
class Looked:
    """A page in the browser and what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """What the page's own policy refused."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def charts(self) -> None:
        """Wait until all charts are drawn."""
        for name in ("price-chart", "map-chart"):
            self.page.wait_for_selector(f".{name} .main-svg", timeout=60_000)


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """Chromium of the system, without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed; make test-system installs it where it may")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def look(context: BrowserContext, url: str) -> Looked:
    """Open a page and note its errors; a table or journal that is not there is no error."""
    page = context.new_page()
    looked = Looked(page)
    page.add_init_script(WATCH)
    page.on("pageerror", lambda error: looked.errors.append(str(error)))

    def note(message: Any) -> None:
        missing = "status of 404" in message.text and "/v1/" in json.dumps(message.location)
        if message.type in {"error", "warning"} and not missing:
            looked.errors.append(message.text)

    page.on("console", note)
    page.goto(url)
    return looked
