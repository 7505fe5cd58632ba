"""How often positions were liquidated: by side, leverage, regime at entry and days held.

``bearmode survival SYMBOL`` measures it on real bars; the table is served at ``GET /v1/survival/{symbol}``.
"""
