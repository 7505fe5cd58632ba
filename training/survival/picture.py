"""The table as a small SVG for documents: no script, and at home on light and dark pages."""

from __future__ import annotations

from html import escape

from serving.survival import SurvivalCell, SurvivalTable

__all__ = ["SHORT_NAMES", "cell_at", "in_percent", "svg"]

SHORT_NAMES = {
    "any": "any hour",
    "bear": "bear",
    "ranging": "ranging",
    "relief_rally": "relief rally",
    "bull": "bull",
}
_WIDE, _HIGH, _LEFT, _TOP = 74, 26, 44, 62
_STYLE = (
    "text{font:12px system-ui,Segoe UI,sans-serif;fill:#23282d}.s{fill:#626b74;font-size:11px}"
    ".h{font-weight:600}rect{fill:#c9412f}@media(prefers-color-scheme:dark)"
    "{text{fill:#dfe3e6}.s{fill:#98a2ab}rect{fill:#e0664f}}"
)


def cell_at(
    table: SurvivalTable, view: str, regime: str, side: str, leverage: float, days: int
) -> SurvivalCell | None:
    """One cell; ``None`` where the table does not hold it."""
    wanted = (view, regime, side, leverage, days)
    return next(
        (one for one in table.cells if (one.view, one.regime, one.side, one.leverage, one.days) == wanted),
        None,
    )


def svg(table: SurvivalTable, days: int = 7) -> str:
    """Heat map of both sides, online where there is an online view.

    Parameters
    ----------
    table : SurvivalTable
    days : int
        One of those of the table.
    """
    view = "hindsight" if table.online is None else "online"
    panel = _LEFT + len(SHORT_NAMES) * _WIDE
    width, height = 2 * panel + 24, _TOP + len(table.leverages) * _HIGH + 30
    title = (
        f"{table.symbol}: share of positions liquidated within {days} days, by the regime at entry "
        f"({'walk-forward' if view == 'online' else 'hindsight'})"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="h" x="8" y="18">{escape(title)}</text>',
    ]
    for place, side in enumerate(("short", "long")):
        left = place * (panel + 24)
        parts.append(f'<text class="h" x="{left + 8}" y="{_TOP - 24}">{side}s</text>')
        for column, name in enumerate(SHORT_NAMES.values()):
            x = left + _LEFT + column * _WIDE + _WIDE / 2
            parts.append(f'<text class="s" x="{x:g}" y="{_TOP - 8}" text-anchor="middle">{name}</text>')
        for row, leverage in enumerate(table.leverages):
            y = _TOP + row * _HIGH
            parts.append(
                f'<text class="s" x="{left + _LEFT - 8}" y="{y + 17}" text-anchor="end">{leverage:g}x</text>'
            )
            for column, regime in enumerate(SHORT_NAMES):
                cell = cell_at(table, view, regime, side, leverage, days)
                parts.append(_square(cell, left + _LEFT + column * _WIDE, y))
    span = f"entries {table.since[:10]} to {table.until[:10]}"
    if table.online is not None:
        span = f"entries {table.online.since[:10]} to {table.online.until[:10]}"
    tiers = table.tiers_as_of or "no source (3 %, 20x)"
    note = f"{span}, {table.exchange} tiers of {tiers}, fees and funding in"
    parts.append(f'<text class="s" x="8" y="{height - 10}">{escape(note)}</text></svg>')
    return "\n".join(parts) + "\n"


def _square(cell: SurvivalCell | None, x: float, y: float) -> str:
    if cell is None or cell.probability is None:
        return f'<text class="s" x="{x + _WIDE / 2:g}" y="{y + 17}" text-anchor="middle">-</text>'
    shade = 0.04 + 0.66 * cell.probability
    text = in_percent(cell.probability)
    return (
        f'<rect x="{x + 1:g}" y="{y + 1:g}" width="{_WIDE - 2}" height="{_HIGH - 2}" '
        f'fill-opacity="{shade:.2f}"/>'
        f'<text x="{x + _WIDE / 2:g}" y="{y + 17}" text-anchor="middle">{text}</text>'
    )


def in_percent(share: float) -> str:
    """Share in words: below 10 % with a decimal.

    Examples
    --------
    >>> in_percent(0.0), in_percent(0.0004), in_percent(0.034), in_percent(0.875)
    ('0 %', '<0.1 %', '3.4 %', '88 %')
    """
    if share == 0:
        return "0 %"
    if share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
