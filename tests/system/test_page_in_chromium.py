"""The page in a real browser, from the real service: content, keyboard, themes, phone, and troubles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_site import Looked, Site, browsing, fresh_store, look, new_site, serving, write_survival
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect
from small_training import Trained

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
PHONE: ViewportSize = {"width": 360, "height": 740}
WORDS = {"bear": "Bear", "ranging": "Ranging", "relief_rally": "Relief rally", "bull": "Bull"}
CHECKS = (Path(__file__).parent / "page_checks.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # machines are busy
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def site(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose data is of this hour."""
    folder = tmp_path_factory.mktemp("page")
    made = new_site(folder, trained, fresh_store(folder / "data"))
    write_survival(made, "SIMBTC")
    with serving(made) as served:
        yield served


@pytest.fixture
def looked(browser: Browser, site: Site) -> Iterator[Looked]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    found = look(context, site.url)
    found.charts()
    yield found
    context.close()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_it_says_what_the_service_says(looked: Looked, site: Site) -> None:
    page, board = looked.page, site.get("v1/board")
    assert [row["symbol"] for row in board["rows"]] == ["SIMBTC", "SIMETH"]
    for row in board["rows"]:
        text = page.get_by_role("row").filter(has=page.get_by_role("link", name=row["symbol"])).inner_text()
        assert WORDS[row["regime"]] in text
        assert row["side"] in text
        if row["side"] != "flat":
            assert f"{row['leverage']:.1f}×" in text
    answer = site.get("v1/regimes/SIMBTC")
    summary = page.locator(".summary").inner_text()
    assert "SIMBTC" in summary
    assert WORDS[answer["regime"]] in summary
    advice = page.get_by_role("region", name="Advice", exact=True)
    for reason in answer["reasons"]:
        assert reason in advice.inner_text()
    assert advice.locator("table").first.locator("tbody tr").count() == len(answer["advice"]["tranches"])
    advice.get_by_text("was calculated").click()
    steps = advice.get_by_role("table", name="Calculation of the leverage").get_by_role("row")
    assert steps.count() == 1 + len(answer["advice"]["calculation"])
    signals = page.get_by_role("table", name="Signals")
    assert signals.get_by_role("row").count() == 1 + len(answer["signals"])
    version = site.get("v1/model")["version"]
    assert version in page.get_by_role("region", name="Model card").inner_text()
    assert looked.errors == []
    assert looked.violations() == []


def test_the_chart_draws_ribbons_probabilities_and_the_plan(looked: Looked, site: Site) -> None:
    page, answer = looked.page, site.get("v1/regimes/SIMBTC")
    figure = page.evaluate(
        "() => { const one = document.querySelector('.price-chart');"
        " return {kinds: one.data.map((t) => t.type), words: one.layout.annotations.map((a) => a.text)}; }"
    )
    kinds = figure["kinds"]
    assert kinds.count("scatter") >= 4
    assert "bar" in kinds
    words = " ".join(figure["words"])
    for place in range(len(answer["advice"]["tranches"])):
        assert f"Entry {place + 1}" in words
    if answer["advice"]["stop_price"] is not None:
        assert {"Stop", "Target", "Liquidation"} <= set(re.findall(r"[A-Z][a-z]+", words))
    caption = page.locator("figcaption").first
    before = caption.inner_text()
    page.get_by_role("radio", name="1 week").check(force=True)
    expect(caption.locator("p").first).not_to_have_text(before.splitlines()[0])
    assert str(page.locator(".price-chart").get_attribute("aria-label")) in caption.inner_text()


def test_the_survival_table_is_a_heat_map_that_can_be_asked(looked: Looked) -> None:
    card = looked.page.get_by_role("region", name="Who survived")
    shares = card.locator(".heat td").evaluate_all(
        "cells => cells.map((cell) => cell.style.getPropertyValue('--heat-share'))"
    )
    assert len(set(shares)) > 3
    before = card.get_by_role("table").get_attribute("aria-label") or card.get_by_role("table").inner_text()
    card.get_by_role("radio", name="Relief rally").check(force=True)
    card.get_by_role("radio", name="Long", exact=True).check(force=True)
    assert "Relief rally" in card.locator("caption").inner_text()
    assert "longs" in card.locator("caption").inner_text()
    assert before


def test_a_symbol_without_a_table_or_answer_says_why(browser: Browser, site: Site) -> None:
    page = look(browser.new_context(), f"{site.url}#SIMETH").page
    expect(page.get_by_role("region", name="Who survived")).to_contain_text("bearmode survival SIMETH")
    page.goto(f"{site.url}#NOSUCH")
    page.reload()
    expect(page.locator("#symbol")).to_contain_text("NOSUCH")
    expect(page.locator("#symbol .hint").first).to_be_visible()
    page.context.close()


def test_the_keyboard_goes_everywhere(looked: Looked) -> None:
    page = looked.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the board")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    seen = []
    for _ in range(40):
        seen.append(str(page.evaluate("document.activeElement.textContent.trim()")))
        outline = page.evaluate(
            "() => { const on = document.activeElement;"
            " const seen = on.matches('input') && on.nextElementSibling ? on.nextElementSibling : on;"
            " return getComputedStyle(seen).outlineStyle; }"
        )
        assert outline != "none", f"no visible focus on {seen[-1]!r}"
        if seen[-1] == "SIMETH":
            break
        page.keyboard.press("Tab")
    assert "Regime" in seen
    assert seen[-1] == "SIMETH"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#SIMETH$"))
    expect(page.locator("#symbol")).to_be_focused()
    expect(page.locator(".summary h3")).to_have_text("SIMETH")
    expect(page).to_have_title("SIMETH · bearmode")
    page.wait_for_selector(".price-chart .main-svg")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="3 months")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="1 year")).to_be_checked()


def test_the_board_sorts_and_keeps_focus(looked: Looked) -> None:
    page = looked.page
    button = page.get_by_role("button", name="Confidence")
    button.focus()
    for order in ("ascending", "descending"):
        page.keyboard.press("Enter")
        header = page.get_by_role("columnheader", name="Confidence")
        assert header.get_attribute("aria-sort") == order
        expect(page.get_by_role("button", name="Confidence")).to_be_focused()


def test_reading_anew_disturbs_nobody(looked: Looked) -> None:
    page = looked.page
    opened = [
        page.get_by_text(words)
        for words in ("was calculated", "of this chart as a table", "features it reads")
    ]
    for one in opened:
        one.click()
    page.get_by_role("button", name="Bias").focus()
    page.evaluate("document.querySelectorAll('.plot').forEach((one) => { one.marked = true; })")
    for _ in range(2):
        with page.expect_response(re.compile("/v1/liquidation_map/")):
            page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_load_state("networkidle")
    expect(page.get_by_role("button", name="Bias")).to_be_focused()
    assert page.locator("details[open]").count() == len(opened)
    assert page.evaluate("[...document.querySelectorAll('.plot')].every((one) => one.marked)")
    assert looked.errors == []


def test_light_dark_and_what_was_chosen(browser: Browser, site: Site) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = look(context, site.url).page
        seen[scheme] = background(page)
        if scheme == "dark":
            page.get_by_role("radio", name="Light").check(force=True)
            assert background(page) == seen["light"]
            page.reload()
            assert background(page) == seen["light"]
            page.get_by_role("radio", name="Auto").check(force=True)
            assert background(page) == seen["dark"]
            page.emulate_media(color_scheme="light")
            expect(page.locator("html")).to_have_attribute("data-theme", "light")
        context.close()
    assert seen["light"] != seen["dark"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(browser: Browser, site: Site, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    looked = look(context, site.url)
    looked.charts()
    looked.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = looked.page.evaluate(f"(() => {{ {CHECKS} return checks(); }})()")
    assert found["texts"] > 150
    assert found["problems"] == []
    context.close()


def test_on_a_phone_nothing_is_cut_off(browser: Browser, site: Site) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    looked = look(context, site.url)
    looked.charts()
    page = looked.page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    small = page.evaluate(
        "() => [...document.querySelectorAll('a, button, summary, label')].filter((one) => one.offsetParent)"
        ".filter((one) => !one.matches('.skip, footer a, p a'))"
        ".filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.textContent.trim())"
    )
    assert small == [], "smaller than 24 px"
    page.get_by_role("link", name="SIMETH").tap()
    expect(page.locator(".summary h3")).to_have_text("SIMETH")
    assert looked.errors == []
    context.close()


HOSTILE = '<img src=x onerror="window.hit=1">'


def test_hostile_names_stay_text(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    board = site.get("v1/board")
    model = site.get("v1/model")
    board["rows"][0] |= {"symbol": HOSTILE, "regime": HOSTILE, "side": HOSTILE}
    board["rows"][1] |= {"error": {"code": "x", "message": HOSTILE, "field": None, "hint": HOSTILE}}
    model["version"] = HOSTILE

    def answer(content: Any) -> Any:
        return lambda route: route.fulfill(content_type="application/json", body=json.dumps(content))

    context.route("**/v1/board", answer(board))
    context.route("**/v1/model", answer(model))
    looked = look(context, f"{site.url}#{HOSTILE}")
    page = looked.page
    expect(page.locator("#board-body tbody tr")).to_have_count(2)
    expect(page.locator("#board-body")).to_contain_text("onerror")
    expect(page.locator("#model")).to_contain_text("onerror")
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hit") is None
    assert looked.violations() == []
    context.close()


PIECES = (
    ': beat\n\nid: 7\nevent: regime_change\ndata: {"a":\ndata: 1}\n\n'
    "data: second\r\n\r\ndata: cut off before its end"
)
STREAM = """async (text) => {
  const main = document.querySelector("script[type=module]").src;
  const { EventReader } = await import(new URL("events.js", main).href);
  const heard = [];
  const reader = new EventReader((event) => heard.push(event));
  for (const letter of text) reader.push(letter);
  return heard;
}"""


def test_a_stream_in_pieces_is_put_together(looked: Looked) -> None:
    found = looked.page.evaluate(STREAM, PIECES)
    assert found == [
        {"id": "7", "type": "regime_change", "data": '{"a":\n1}'},
        {"id": None, "type": "message", "data": "second"},
    ]


def test_an_event_is_heard_and_the_board_read_anew(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    asked: list[str] = []

    def stream(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id", "none"))
        route.fulfill(content_type="text/event-stream", body='id: 41\nevent: board\ndata: {"x": 1}\n\n')

    live = json.dumps({"state": "running", "symbols": ["SIMBTC"]})
    context.route("**/v1/live", lambda route: route.fulfill(content_type="application/json", body=live))
    context.route("**/v1/events", stream)
    boards: list[str] = []
    context.on("request", lambda one: boards.append(one.url) if one.url.endswith("/v1/board") else None)
    page = look(context, site.url).page
    while len(asked) < 2 or len(boards) < 2:
        page.wait_for_event("request", timeout=20_000)
    assert asked[:2] == ["none", "41"]
    context.close()


def test_old_data_and_a_model_from_a_simulation_are_said_plainly(
    browser: Browser, trained: Trained, tmp_path: Path
) -> None:
    with serving(new_site(tmp_path, trained, Path(trained.places.store).absolute())) as site:
        page = look(browser.new_context(), site.url).page
        banners = page.get_by_role("region", name="Warnings")
        expect(banners).to_contain_text("The data is stale.")
        expect(banners).to_contain_text("2023-03-1")
        expect(banners).to_contain_text("The model has expired.")
        expect(banners).to_contain_text("simulated market")
        expect(page.locator("#board-body")).to_contain_text("stale")
        page.context.close()


def test_without_a_store_the_model_is_still_shown(browser: Browser, trained: Trained, tmp_path: Path) -> None:
    with serving(new_site(tmp_path, trained, tmp_path / "nothing")) as site:
        page = look(browser.new_context(), site.url).page
        expect(page.get_by_role("region", name="Warnings")).to_contain_text("No board.")
        expect(page.locator("#board-body .hint")).to_contain_text("bearmode fetch")
        expect(page.get_by_role("region", name="Model card")).to_contain_text(site.get("v1/model")["version"])
        page.context.close()


def test_a_service_that_goes_away_and_comes_back(browser: Browser, trained: Trained, tmp_path: Path) -> None:
    made = new_site(tmp_path, trained, Path(trained.places.store).absolute())
    context = browser.new_context()
    with serving(made):
        page = look(context, made.url).page
        expect(page.locator("#connection-words")).to_have_text("Connected")
    banners = page.get_by_role("region", name="Warnings")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(banners).to_contain_text("The service does not answer.", timeout=15_000)
    expect(page.locator("#connection-words")).to_have_text("Not connected")
    assert "SIMBTC" in page.locator("#board-body").inner_text(), "what was known stays"
    with serving(made):
        expect(page.locator("#connection-words")).to_have_text("Connected", timeout=45_000)
        expect(banners).not_to_contain_text("does not answer")
    context.close()


def test_a_key_is_asked_for_and_used(browser: Browser, trained: Trained, tmp_path: Path) -> None:
    made = new_site(tmp_path, trained, Path(trained.places.store).absolute())
    added = subprocess.run(
        [sys.executable, "-m", "bearmode", "keys", "add", "desk"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    key = next(word for word in added.stdout.split() if len(word) > 30)
    with serving(made) as site:
        page = look(browser.new_context(), site.url).page
        field = page.get_by_label("This service asks for a key")
        expect(field).to_be_visible()
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#connection-words")).to_have_text("Key needed")
        field.fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#board-body")).to_contain_text("SIMBTC", timeout=20_000)
        expect(field).to_be_hidden()
        expect(field).to_have_value("")
        assert key not in page.content()
        page.reload()
        expect(page.locator("#board-body")).to_contain_text("SIMBTC", timeout=20_000)
        page.context.close()
