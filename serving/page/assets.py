"""The page's files as they are sent: named by their content, compressed once, with an ``ETag`` each.

``/`` names the others by a digest of all of them (``page/<digest>/main.js``), so browsers may keep
those forever and a new version of the service is a new page at the next look.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["PLOTLY_MISSING", "Asset", "PageAssets", "page_assets"]

FILES = "page/files/"
"""How the HTML names its files; the digest takes the place of ``files``."""
SCRIPT = "page/plotly/plotly.min.js"
"""How the HTML names the chart script; its version takes the place of ``plotly``."""
PLOTLY_MISSING = "charts are not available: the Plotly package is not installed beside the service"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_DIGITS = 16
_STYLE_GUARD = re.compile(rb'getElementById\("([0-9a-f]{64})"\)')


@dataclass(frozen=True)
class Asset:
    """One file, ready to be sent.

    Attributes
    ----------
    content : bytes
        As it is.
    media_type : str
        With its charset.
    """

    content: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """Strong validator, quoted."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:_DIGITS]}"'

    @cached_property
    def compressed(self) -> bytes:
        """The same in gzip, byte for byte the same in every worker."""
        return gzip.compress(self.content, compresslevel=6, mtime=0)


class PageAssets:
    """All files of the page.

    Parameters
    ----------
    folder : Traversable, optional
        Where they are; those of the package by default.

    Examples
    --------
    >>> assets = PageAssets()
    >>> assets.file("main.js").media_type
    'text/javascript; charset=utf-8'
    >>> assets.file("../assets.py") is None
    True
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        found = sorted((folder or files("serving.page") / "files").iterdir(), key=lambda one: one.name)
        named = {one.name: one.read_bytes() for one in found if _suffix(one.name) in _TYPES}
        index = named.pop("index.html").decode()
        joined = b"\0".join(part for name, content in named.items() for part in (name.encode(), content))
        self.digest = hashlib.sha256(joined).hexdigest()[:_DIGITS]
        self.plotly_version = _plotly_version()
        self._index = index.replace(FILES, f"page/{self.digest}/").replace(
            SCRIPT, f"page/plotly-{html.escape(self.plotly_version or 'none')}/plotly.min.js"
        )
        self._files = {name: Asset(content, _TYPES[_suffix(name)]) for name, content in named.items()}

    def file(self, name: str) -> Asset | None:
        """A file by its bare name; ``None`` where the page has none of it."""
        return self._files.get(name)

    @property
    def names(self) -> list[str]:
        """Names of all files but the HTML, sorted."""
        return sorted(self._files)

    @cached_property
    def index(self) -> Asset:
        """The HTML. It holds an empty element for each style sheet that the chart script would write inline.

        The script leaves one out whose id it finds: those of map charts, which the page has none of and its
        policy would refuse.
        """
        script = self.plotly
        ids = sorted(set(_STYLE_GUARD.findall(script.content))) if script else []
        guards = "".join(f'<template id="{one.decode()}"></template>' for one in ids)
        return Asset(self._index.replace("</head>", f"{guards}</head>").encode(), _TYPES[".html"])

    @cached_property
    def plotly(self) -> Asset | None:
        """The chart script of the installed Plotly package, 4.6 MiB; ``None`` where there is none."""
        try:
            # Here and not above: only the first who asks for the script pays for it.
            from plotly.offline import get_plotlyjs  # noqa: PLC0415
        except ImportError:
            return None
        return Asset(get_plotlyjs().encode(), _TYPES[".js"])


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def _plotly_version() -> str | None:
    try:
        return version("plotly")
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def page_assets() -> PageAssets:
    """The package's own files, read once in a process."""
    return PageAssets()
