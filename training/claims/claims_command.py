"""``python -m training.claims``: check every claim, print the verdicts, write the document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from features.errors import NothingUsableError
from features.history import History
from features.json_file import check_target, write_json
from features.raw import RawMarket
from features.sources import load_raw, parse_symbols
from training.claims.claim import Checked
from training.claims.document import document
from training.claims.edges import (
    bears_are_volatile,
    low_leverage_beats_all_in,
    negative_funding,
    no_edge_in_ranges,
    rallies_are_entries,
    rising_interest,
    three_of_four,
)
from training.claims.evidence import Evidence, Market
from training.claims.liquidations import (
    five_survives_where_twenty_dies,
    rallies_liquidate,
    twenty_ends,
    volatile_weeks,
)
from training.claims.losing_streaks import risk_survives_streaks
from training.compare.compare_page import write_page
from training.settings import Places
from training.survival.online import online_regime, read_replay, replay_online
from training.survival.outcomes import Outcomes
from training.survival.prices import prices_of
from training.survival.survival_command import hindsight_index

__all__ = ["CLAIMS", "check_claims", "claims_command", "evidence_of"]

CLAIMS: tuple[Callable[[Evidence], Checked], ...] = (
    rallies_liquidate,
    five_survives_where_twenty_dies,
    twenty_ends,
    low_leverage_beats_all_in,
    rallies_are_entries,
    no_edge_in_ranges,
    rising_interest,
    negative_funding,
    three_of_four,
    volatile_weeks,
    bears_are_volatile,
    risk_survives_streaks,
)


def evidence_of(
    raw: Sequence[RawMarket], histories: Sequence[History], rows: pd.DataFrame, *, draws: int = 2000
) -> Evidence:
    """Evidence of some symbols and the online rows of a replay.

    Raises
    ------
    NothingUsableError
        If the replay answers none of their bars.
    """
    markets = tuple(
        Market(
            one,
            history,
            Outcomes(prices_of(one, history)),
            online_regime(rows, history.symbol, history.time),
            hindsight_index(history),
        )
        for one, history in zip(raw, histories, strict=True)
    )
    if not any((market.online >= 0).any() for market in markets):
        raise NothingUsableError(
            "the replay answers no bar of these symbols out of sample",
            field="replay",
            hint="bearmode replay --walk-forward --since 2022-01-01 --out FILE, of the same symbols",
        )
    return Evidence(markets, draws)


def check_claims(evidence: Evidence, tell: Callable[[str], None] = lambda _name: None) -> list[Checked]:
    """Check every claim."""
    found = []
    for check in CLAIMS:
        tell(check.__name__)
        found.append(check(evidence))
    return found


def claims_command(
    symbols: str,
    places: Places,
    *,
    source: str | None = None,
    path: Path | None = None,
    replay: Path | None = None,
    out: Path | None = None,
    json: Path | None = None,
) -> None:
    """Check, print and write.

    Raises
    ------
    BundleError
        If there is neither a replay file nor a champion with its walk-forward models.
    """
    check_target(out, "out")
    check_target(json, "json")
    raw = load_raw(source, parse_symbols(symbols), path=path, store=places.store)
    histories = [History.from_raw(one) for one in raw]
    with Status("replaying the walk-forward models", console=Console(stderr=True)) as status:
        if replay is not None:
            rows = read_replay(replay)
        else:
            rows = replay_online(
                histories, places, source, path, lambda name: status.update(f"replaying {name}")
            )
        evidence = evidence_of(raw, histories, rows)
        found = check_claims(evidence, lambda name: status.update(f"checking {name}"))
    command = "python -m training.claims"
    if source is not None:
        command += f" --source {source}" + (" --path DIR" if path is not None else "")
    if out is not None:
        write_page(out, document(evidence, found, command))
    if json is not None:
        write_json(json, {"claims": [one.as_dict() for one in found]})
    _show(found)
    for file in (out, json):
        if file is not None:
            typer.echo(f"wrote {file}")


def _show(found: Sequence[Checked]) -> None:
    table = Table(title="What traders say, held against history", title_justify="left")
    for name in ("claim", "verdict", "deciding number"):
        table.add_column(name)
    table.add_column("weeks", justify="right")
    for one in found:
        first = one.measures[0]
        table.add_row(one.folklore, one.verdict, first.words(), str(first.weeks))
    Console(width=None if Console().is_terminal else 140).print(table)
