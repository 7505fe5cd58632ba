"""Tier tables: what is shipped, what a date picks, what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from pydantic import ValidationError

from features.errors import DataError
from serving.tiers import (
    Exchange,
    TierData,
    funding_cap,
    has_tiers,
    largest_notional,
    maintenance_margin,
    shipped_tiers,
    tiers,
    tiers_as_of,
)

SOURCED = ("BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT")


def test_shipped_tiers_are_those_with_a_source() -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert [tuple(tier)[1:5] for tier in tiers("binance", symbol)[:4]] == [
            (50_000, 125, 0.004, 0),
            (600_000, 100, 0.005, 50),
            (3_000_000, 75, 0.0065, 950),
            (12_000_000, 50, 0.01, 11_450),
        ]
        assert len(tiers("binance", symbol)) == 12
    assert tuple(tiers("binance", "SOLUSDT")[0])[1:4] == (20_000, 100, 0.005)
    assert tiers_as_of("binance", "BTCUSDT") == "2024-09"
    assert tiers_as_of("okx", "BTCUSDT") is None
    assert not any(has_tiers("okx", symbol) for symbol in SOURCED)
    assert all(has_tiers("binance", symbol) for symbol in SOURCED)
    assert not has_tiers("binance", "PEPEUSDT")
    assert all(len(table.source) > 50 for table in shipped_tiers().tables)


@pytest.mark.parametrize(("exchange", "symbol"), [("okx", "BTCUSDT"), ("binance", "PEPEUSDT")])
def test_without_a_table_it_is_the_assumption(exchange: Exchange, symbol: str) -> None:
    (only,) = tiers(exchange, symbol)
    assert (only.rate, only.max_leverage, only.amount, only.known) == (0.03, 20, 0, False)
    assert largest_notional(exchange, symbol) == float("inf")


@pytest.mark.parametrize("symbol", SOURCED)
def test_amounts_follow_from_the_rates(symbol: str) -> None:
    """The exchange's own recursion; it makes maintenance margin continuous at each edge."""
    known = tiers("binance", symbol)
    amount = 0.0
    for before, tier in pairwise(known):
        amount += tier.floor * (tier.rate - before.rate)
        assert tier.floor == before.up_to
        assert tier.amount == pytest.approx(amount, abs=1e-6)
        below = maintenance_margin("binance", symbol, tier.floor)
        above = maintenance_margin("binance", symbol, tier.floor * (1 + 1e-12))
        assert above == pytest.approx(below, rel=1e-9)
    assert (known[-1].rate, known[-1].max_leverage) == (0.5, 1)
    assert largest_notional("binance", symbol) == known[-1].up_to


def data(**changes: Any) -> dict[str, Any]:
    """Two tables of one symbol, and one that is not complete."""
    old = [{"up_to": 1_000, "max_leverage": 50, "rate": 0.01, "amount": 0}]
    new = [
        {"up_to": 500, "max_leverage": 25, "rate": 0.02, "amount": 0},
        {"up_to": 1_000, "max_leverage": 10, "rate": 0.05, "amount": 15},
    ]

    def table(as_of: str, rows: list[dict[str, float]], *, complete: bool) -> dict[str, Any]:
        ladder = {"complete": complete, "tiers": rows}
        return {
            "exchange": "okx",
            "as_of": as_of,
            "source": "made up for a test",
            "symbols": {"AUSDT": ladder},
        }

    found: dict[str, Any] = {
        "tables": [table("2023-05-19", old, complete=False), table("2024-01", new, complete=True)],
        "unknown": {"max_leverage": 20, "rate": 0.03},
        "funding_caps": {"source": "made up", "symbols": {}, "others": 0.02},
    }
    return found | changes


@pytest.mark.parametrize(
    ("on", "as_of", "rates"),
    [
        (None, "2024-01", [0.02, 0.05]),
        ("2024-01-01", "2024-01", [0.02, 0.05]),
        ("2023-12-31", "2023-05-19", [0.01, 0.03]),
        ("2020-01-01", "2023-05-19", [0.01, 0.03]),
    ],
)
def test_a_date_picks_the_table_of_its_time(on: str | None, as_of: str, rates: list[float]) -> None:
    tables = TierData.model_validate(data())
    assert tables.as_of("okx", "AUSDT", on) == as_of
    ladder = tables.ladder("okx", "AUSDT", on)
    assert [tier.rate for tier in ladder] == rates
    assert [tier.known for tier in ladder] == [True, as_of == "2024-01"]


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (1, {"amount": 20}),
        (1, {"up_to": 400}),
        (1, {"rate": 0.01}),
        (1, {"max_leverage": 60}),
        (0, {"rate": 1}),
    ],
)
def test_tables_that_cannot_be_are_refused(row: int, change: dict[str, float]) -> None:
    wrong = data()
    wrong["tables"][1]["symbols"]["AUSDT"]["tiers"][row] |= change
    with pytest.raises(ValidationError):
        TierData.model_validate(wrong)


def test_an_exchange_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match="exchange is 'kraken', expected one of binance, okx") as caught:
        TierData.model_validate(data()).ladder(cast("Exchange", "kraken"), "AUSDT")
    assert (caught.value.code, caught.value.field) == ("unknown_exchange", "account.exchange")


def test_caps_of_the_funding_rate() -> None:
    assert (funding_cap("BTCUSDT"), funding_cap("ETHUSDT"), funding_cap("PEPEUSDT")) == (0.003, 0.003, 0.02)
