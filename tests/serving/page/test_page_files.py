"""The page as it is sent: types, tags, compression, who gets it, and that nothing is from elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from serving.page import assets as assets_module
from serving.page import page_assets
from serving.page.assets import PageAssets
from serving.routes.index import INDEX, INDEX_ROUTES
from serving.routes.page import PAGE_POLICY, PAGE_ROUTES

FILES = Path(assets_module.__file__).with_name("files")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Browser:
    """Asks routes in this process."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._app = Starlette(routes=list(routes))

    def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page.test") as client:
                given = {"accept-encoding": "identity", **(headers or {})}
                return await client.request(method, path, headers=given)

        return asyncio.run(answer())


@pytest.fixture(scope="module")
def http() -> Browser:
    return Browser([*INDEX_ROUTES, *PAGE_ROUTES])


def script_path() -> str:
    return f"/page/plotly-{version('plotly')}/plotly.min.js"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER["accept"], True),
        ("text/html", True),
        ("text/plain", False),
        ("*/*", False),
        ("application/json, text/html;q=0", False),
        ("text/html;q=0.0, */*", False),
        ("text/htmlx", False),
    ],
)
def test_a_browser_gets_the_page_and_everything_else_the_list(http: Browser, accept: str, html: bool) -> None:
    answer = http.ask("/", headers={"accept": accept})
    assert answer.status_code == 200
    assert "Accept" in answer.headers["vary"]
    if html:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == PAGE_POLICY
        assert "<main" in answer.text
    else:
        assert answer.text == INDEX


def test_everything_that_the_page_names_is_there(http: Browser) -> None:
    html = http.ask("/", headers=BROWSER).text
    named = set(re.findall(r'(?:src|href)="(page/[^"]+)"', html))
    assert len(named) >= 7
    for path in named:
        answer = http.ask(f"/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == TYPES[Path(path).suffix]
    folder = f"/page/{page_assets().digest}"
    for name in page_assets().names:
        text = http.ask(f"{folder}/{name}").text
        for imported in re.findall(r'^import .* from "\./([^"]+)";', text, re.MULTILINE):
            assert http.ask(f"{folder}/{imported}").status_code == 200, (name, imported)


def test_an_entity_tag_saves_the_way(http: Browser) -> None:
    for path, headers in (("/", BROWSER), (f"/page/{page_assets().digest}/main.js", {}), (script_path(), {})):
        first = http.ask(path, headers=headers)
        assert first.status_code == 200
        again = http.ask(path, headers={**headers, "if-none-match": f'"other", W/{first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == first.headers["cache-control"]
        assert http.ask(path, headers={**headers, "if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("given", "zipped"), [("gzip, br", True), ("br;q=1, *", True), ("gzip;q=0", False), ("identity", False)]
)
def test_compression_is_for_those_who_take_it(http: Browser, given: str, zipped: bool) -> None:
    plain = http.ask(script_path())
    answer = http.ask(script_path(), headers={"accept-encoding": given})
    assert answer.content == plain.content
    assert (answer.headers.get("content-encoding") == "gzip") is zipped
    assert (answer.headers["etag"] != plain.headers["etag"]) is zipped
    assert "Accept-Encoding" in answer.headers["vary"]
    if zipped:
        assert int(answer.headers["content-length"]) < 0.4 * len(plain.content)


def test_two_workers_send_the_same_bytes() -> None:
    one, other = PageAssets(), PageAssets()
    assert one.digest == other.digest
    assert one.index.etag == other.index.etag
    for name in one.names:
        first, second = one.file(name), other.file(name)
        assert first is not None
        assert second is not None
        assert first.compressed == second.compressed
        assert gzip.decompress(first.compressed) == first.content


def test_a_change_is_another_address(tmp_path: Path) -> None:
    for name in ("index.html", "main.js"):
        (tmp_path / name).write_bytes((FILES / name).read_bytes())
    (tmp_path / "notes.txt").write_text("not sent")
    before = PageAssets(tmp_path)
    (tmp_path / "main.js").write_text("changed();")
    after = PageAssets(tmp_path)
    assert before.names == after.names == ["main.js"]
    assert before.digest != after.digest
    assert f"page/{after.digest}/main.js" in after.index.content.decode()


def test_a_file_of_an_older_page_is_not_kept(http: Browser) -> None:
    answer = http.ask("/page/0123456789abcdef/main.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    assert http.ask("/page/plotly-1.0/plotly.min.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["assets.py", "index.html", "..%2fassets.py", "%2e%2e/assets.py", "no.js"])
def test_only_its_own_files(http: Browser, name: str) -> None:
    answer = http.ask(f"/page/{page_assets().digest}/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_head_and_other_methods(http: Browser) -> None:
    path = f"/page/{page_assets().digest}/main.js"
    assert http.ask(path, method="HEAD").status_code == 200
    assert http.ask(path, method="HEAD").content == b""
    assert http.ask(path, method="POST").status_code == 405


def test_without_plotly_there_is_a_page_without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assets = PageAssets()
    assert assets.plotly is None
    assert b"<main" in assets.index.content
    monkeypatch.setattr("serving.routes.page.page_assets", lambda: assets)
    answer = Browser(PAGE_ROUTES).ask(script_path())
    assert answer.status_code == 404
    assert "charts are not available" in answer.json()["error"]["message"]


def test_a_prefix_of_a_proxy_is_kept() -> None:
    html = page_assets().index.content.decode()
    assert not re.findall(r'(?:src|href)="/', html)
    for path in FILES.glob("*.js"):
        assert not re.search(r'(?:ask|follow|fetch)\(["`]/', path.read_text()), path.name


def test_nothing_inline_and_nothing_from_elsewhere() -> None:
    html = page_assets().index.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
    for path in FILES.iterdir():
        text = path.read_text(encoding="utf-8")
        foreign = [one for one in re.findall(r"https?://[^\s\"'<>)]+", text) if "www.w3.org" not in one]
        assert not foreign, path.name
        assert "@import" not in text


FORBIDDEN = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"


def test_data_never_becomes_html() -> None:
    for path in FILES.glob("*.js"):
        found = re.search(FORBIDDEN, path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found and found.group()}"


def test_the_files_are_package_data(root: Path) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert '"page/files/*"' in text
    assert {path.suffix for path in FILES.iterdir()} == {".html", ".css", ".js", ".svg"}
