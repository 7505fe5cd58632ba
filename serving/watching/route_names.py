"""The route of a path, for labels: as many names as there are routes, however many paths are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.routing import BaseRoute, Mount, Route

__all__ = ["RouteNames"]


class RouteNames:
    """Names by path, such as ``/v1/regimes/{symbol}`` for ``/v1/regimes/BTCUSDT``.

    Parameters
    ----------
    routes : iterable of BaseRoute
        Of the application, mounted ones included.

    Examples
    --------
    >>> names = RouteNames([Route("/a", print), Mount("/b", routes=[Route("/{x}", print)])])
    >>> names.name("/a"), names.name("/b/1"), names.name("/c")
    ('/a', '/b/{x}', None)
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._fixed: set[str] = set()
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._collect(routes, "")

    def name(self, path: str) -> str | None:
        """Route of a path; ``None`` where nobody serves it."""
        if path in self._fixed:
            return path
        return next((name for pattern, name in self._patterns if pattern.match(path)), None)

    def _collect(self, routes: Iterable[BaseRoute], before: str) -> None:
        for route in routes:
            if isinstance(route, Mount):
                inner = route.routes
                if inner:
                    self._collect(inner, before + route.path)
                else:  # a folder of files, or an application that keeps its routes to itself
                    self._add(f"{before}{route.path}/{{path:path}}", rf"{re.escape(before + route.path)}/.*$")
            elif isinstance(route, Route):
                self._add(before + route.path_format, route.path_regex.pattern.lstrip("^"), before)

    def _add(self, name: str, pattern: str, before: str = "") -> None:
        if "{" in name:
            self._patterns.append((re.compile(f"^{re.escape(before)}{pattern}"), name))
        else:
            self._fixed.add(name)
