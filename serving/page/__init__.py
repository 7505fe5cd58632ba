"""The web page at ``/``: its files, and how they are sent.

No build step, nothing from elsewhere: plain HTML, CSS and JavaScript modules in ``files/``, and the
chart script out of the installed Plotly package.
"""

from serving.page.assets import Asset, PageAssets, page_assets

__all__ = ["Asset", "PageAssets", "page_assets"]
