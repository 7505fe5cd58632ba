"""Settings of the gate: ``bearmode.toml``, then ``BEARMODE_GATE_*``, then what the caller passes.

The file's table ``[gate]`` holds the fields below; a name that is not one of them is refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import UsageError
from serving.settings import SETTINGS_FILE

__all__ = ["GateSettings"]

_PREFIX = "BEARMODE_GATE_"


class GateSettings(BaseModel):
    """What a challenger has to show. Losses in nats a row, shares between 0 and 1.

    Examples
    --------
    >>> GateSettings().non_inferiority
    0.01
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window_days: float = Field(
        180.0, gt=0, description="days before the last confirmed label that are scored, at least"
    )
    min_spells: int = Field(
        30, ge=2, description="independent spells to score; the window is made longer until it holds them"
    )
    min_train_days: float = Field(150.0, gt=0, description="days of labels before the window")
    level: float = Field(0.95, gt=0, lt=1, description="of the interval of a difference of log loss")
    draws: int = Field(2000, ge=100, description="of the bootstrap over spells")
    seed: int = Field(7, ge=0, description="of the bootstrap")
    non_inferiority: float = Field(
        0.01,
        ge=0,
        description="same recipe: the upper end of the difference to the champion is at most this; "
        "another recipe: the same, against the champion as it is",
    )
    recall_fall: float = Field(0.05, ge=0, le=1, description="most that the recall of a class may fall")
    recall_rows: int = Field(100, ge=1, description="rows that a class needs for its recall to be judged")
    symbol_rise: float = Field(
        0.10, ge=0, description="most that the log loss of one symbol may be above the champion's"
    )
    ece: float = Field(0.15, gt=0, le=1, description="calibration error on the window that is always allowed")
    ece_rise: float = Field(
        0.02, ge=0, le=1, description="above that bound: most that it may be above the champion's"
    )
    seen_rise: float = Field(
        0.02,
        ge=0,
        description="most that the log loss of the final fit, which has seen the window, may be above",
    )
    parity: float = Field(1e-6, gt=0, description="largest difference between graph and model, probability")
    revised_share: float = Field(
        0.01, ge=0, le=1, description="share of the champion's golden bars that may have another value today"
    )
    changed_months: float = Field(
        0.10,
        ge=0,
        le=1,
        description="share of a symbol's months that may differ from what the champion learned from",
    )
    odd_bars: float = Field(
        0.0005, ge=0, le=1, description="share of a symbol's bars that no trade explains; five always may be"
    )
    label_spells: float = Field(60.0, gt=0, description="changes of a symbol's hindsight label a year")
    lost_symbols: int = Field(0, ge=0, description="symbols of the champion that the challenger may lack")
    floor_macro_f1: float = Field(0.35, ge=0, le=1, description="without a champion to compare with")
    floor_recall: float = Field(
        0.05, ge=0, le=1, description="of each class with enough rows, without a champion to compare with"
    )

    @classmethod
    def load(cls, **options: object) -> GateSettings:
        """Read file and environment; ``options`` that are not ``None`` win.

        Raises
        ------
        UsageError
            For a name or value that makes no sense, with where it may come from.
        """
        values = dict(_gate_table())
        for name in cls.model_fields:
            found = os.environ.get(_PREFIX + name.upper())
            if found:
                values[name] = found
        values |= {name: value for name, value in options.items() if value is not None}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"setting gate.{name}: {first['msg']}",
                field=name,
                hint=f"set in {SETTINGS_FILE} under [gate] or as {_PREFIX}{name.upper()}",
            ) from error


def _gate_table() -> Mapping[str, object]:
    try:
        table = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8")).get("gate", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{SETTINGS_FILE} is not readable: {error}") from error
    if not isinstance(table, dict):
        raise UsageError(f"{SETTINGS_FILE}: gate is {table!r}, expected a table", hint="write [gate]")
    return table
