"""Accounts walked through history: what following the advice, or anything else, would have come to.

``paths`` is the market, ``orders`` what a strategy wants at each bar, ``engine`` the accounts. Whatever
a strategy wants at a bar was known at its close; it is done at the open of the next one.
"""
