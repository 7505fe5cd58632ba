"""Every defect that an archive is known to have, planted where it can be found again.

``python -m benchmarks.planted_archive FOLDER`` writes the archive and lists what is in it; serve it
with ``python -m benchmarks.faulty_server FOLDER``. :func:`plant_everything` does the same for a
test and hands over the truth: the tables that a correct store must hold and the ledger entries that
it must give. Three symbols, January to June 2024: BTCUSDT with all defects, ETHUSDT listed in
mid-February and gone in mid-May, SOLUSDT with nothing wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.archive_files import Defect
from benchmarks.file_defects import FILE_DEFECTS, absent, truncated, wrong_checksum
from benchmarks.row_defects import (
    bad_bar,
    blank_cell,
    blank_interval,
    blank_line,
    blank_row,
    doubled_rows,
    foreign_row,
    jitter,
    microseconds,
    missing_rows,
    new_columns,
    next_midnight,
    no_header,
    no_midnight,
    noted_change,
    scale_values,
    set_values,
    shock,
    whole_file_doubled,
)
from benchmarks.simulated_archive import Listing, SimulatedArchive

__all__ = ["DAILY_MONTH", "SINCE", "UNTIL", "plant_everything", "planted_defects"]

SINCE, UNTIL = "2024-01-01", "2024-07-01"
"""Span of :func:`plant_everything`, on bar closes: the first included, the second excluded."""

DAILY_MONTH = "2024-03"
"""Month of :func:`plant_everything` whose klines are daily files."""


def _spread(month: str, dataset: str, first_day: int) -> dict[tuple[str, str], list[Defect]]:
    """One file defect a day, days in a row."""
    return {(dataset, f"{month}-{first_day + i:02d}"): [defect] for i, defect in enumerate(FILE_DEFECTS)}


def planted_defects() -> Mapping[tuple[str, str], Sequence[Defect]]:
    """What :func:`plant_everything` plants in BTCUSDT, by dataset and period."""
    return {
        ("klines", "2024-01"): [
            no_header,
            partial(doubled_rows, rows=(100, 101, 102)),
            partial(missing_rows, first=300, last=306),
            partial(missing_rows, first=500, last=500),
        ],
        ("klines", "2024-02"): [
            partial(bad_bar, row=50, high="1.0"),
            partial(bad_bar, row=60, close="0"),
            partial(bad_bar, row=70, open="nan"),
            partial(bad_bar, row=80, low="n/a"),
            partial(bad_bar, row=90, high="inf"),
            partial(bad_bar, row=95, close="-20000"),
            partial(blank_cell, row=110, column="volume"),
            partial(blank_row, row=120),
            partial(blank_line, row=140),
            partial(doubled_rows, rows=(200, 201), differing=True),
            foreign_row,
            microseconds,
        ],
        **_spread(DAILY_MONTH, "klines", 3),
        ("klines", "2024-04"): [wrong_checksum],
        ("klines", "2024-05"): [
            partial(set_values, rows=(33, 34, 35), volume=0.0, quote_volume=0.0, taker_buy_quote_volume=0.0),
            partial(shock, row=400, size=1.35),
            new_columns,
        ],
        ("fundingRate", "2024-01"): [jitter, no_header],
        ("fundingRate", "2024-02"): [
            noted_change,
            partial(doubled_rows, rows=(20, 21)),
            partial(missing_rows, first=30, last=31),
            partial(jitter, first=-2),
        ],
        ("fundingRate", "2024-03"): [absent],
        ("fundingRate", "2024-04"): [
            partial(blank_interval, row=10),
            partial(blank_cell, row=20, column="last_funding_rate"),
            partial(set_values, rows=(50,), last_funding_rate=0.0075),
            partial(set_values, rows=(51,), last_funding_rate=-0.0061),
            partial(blank_row, row=70),
            microseconds,
        ],
        ("fundingRate", "2024-05"): [truncated],
        ("fundingRate", "2024-06"): [noted_change],
        ("metrics", "2024-01-05"): [whole_file_doubled],
        ("metrics", "2024-01-06"): [partial(doubled_rows, rows=(9, 10, 200))],
        ("metrics", "2024-01-07"): [no_header],
        ("metrics", "2024-01-08"): [partial(missing_rows, first=100, last=130)],
        ("metrics", "2024-01-09"): [
            partial(blank_cell, row=10, column="sum_open_interest_value"),
            partial(blank_cell, row=20, column="sum_open_interest_value", text=b"0"),
            partial(blank_cell, row=30, column="count_long_short_ratio"),
            partial(blank_cell, row=40, column="sum_taker_long_short_vol_ratio"),
            partial(blank_row, row=50),
            partial(blank_line, row=60),
        ],
        ("metrics", "2024-01-10"): [next_midnight],
        ("metrics", "2024-01-11"): [no_midnight, next_midnight],
        ("metrics", "2024-01-12"): [no_midnight],
        ("metrics", "2024-01-13"): [next_midnight],
        **_spread("2024-02", "metrics", 4),
        ("metrics", "2024-05-10"): [
            partial(scale_values, first=0, last=287, column="sum_open_interest_value", factor=0.5)
        ],
    }


def plant_everything(folder: Path) -> SimulatedArchive:
    """Write the archive with every defect; ``folder`` becomes the root to serve.

    Returns
    -------
    SimulatedArchive
        ``truth(symbol, SINCE, UNTIL)`` is what a correct store holds, ``expected[symbol]`` what its
        ledger must name.
    """
    return SimulatedArchive(
        folder,
        {
            "BTCUSDT": Listing(
                "SIMBTC",
                daily_months=(DAILY_MONTH,),
                funding_hours=(("2024-02-15", 4), ("2024-06-15", 8)),
                defects=planted_defects(),
            ),
            "ETHUSDT": Listing("SIMETH", since="2024-02-15", until="2024-05-20", daily_months=("2024-05",)),
            "SOLUSDT": Listing("SIMSOL"),
        },
        since="2023-12-31",
        until=UNTIL,
    )


def main() -> None:
    """Write it and say what is in it."""
    parser = argparse.ArgumentParser(description="write an archive with every defect planted")
    parser.add_argument("folder", type=Path, help="becomes the root to serve")
    archive = plant_everything(parser.parse_args().folder)
    for symbol, expected in archive.expected.items():
        print(f"{symbol}: {len(archive.files[symbol])} files, {len(expected)} defects")
        for one in expected:
            kinds = "|".join(sorted(one.kinds))
            print(f"  {one.start:%Y-%m-%d %H:%M}  {one.dataset:<12} {one.defect:<40} {kinds}")


if __name__ == "__main__":
    main()
