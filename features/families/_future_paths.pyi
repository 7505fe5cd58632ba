from typing import Any

def path_totals(
    walks: Any,
    reach: Any,
    settled: Any,
    moves: Any,
    back: Any,
    slow_unit: Any,
    fast_unit: Any,
    out: Any,
    rows: int,
    futures: int,
    behind: int,
    ahead: int,
    slow_ahead: int,
    fast_ahead: int,
    fast_back: int,
    switch_cost: float,
    slow_edge: float,
    fast_edge: float,
    /,
) -> None: ...
