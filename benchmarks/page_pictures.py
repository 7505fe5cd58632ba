"""Pictures of the page as a browser shows it, for the documents: light, dark, phone, stale.

    bearmode serve                                # in another terminal
    python -m benchmarks.page_pictures http://127.0.0.1:3000/#BTCUSDT --names light,dark,phone

Needs Chromium and Playwright. It waits until the charts are drawn.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SHAPES = {
    "light": {"viewport": {"width": 1280, "height": 1500}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 1500}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 1700}, "color_scheme": "light", "has_touch": True},
    "stale": {"viewport": {"width": 1280, "height": 760}, "color_scheme": "light"},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--into", type=Path, default=Path("docs/figures"))
    parser.add_argument("--names", default=",".join(SHAPES))
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("Chromium is not installed", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in options.names.split(","):
            page = browser.new_context(**SHAPES[name]).new_page()  # type: ignore[arg-type]
            page.goto(options.url)
            page.wait_for_selector(".price-chart .main-svg", timeout=60_000)
            page.wait_for_selector(".map-chart .main-svg", timeout=60_000)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_function("scrollY === 0")
            target = options.into / f"page-{name}.png"
            page.screenshot(path=target, animations="disabled")
            print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
