"""Margin brackets as the exchange has them now; it tells them only to an account's own key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.errors import BearmodeError
from features.sources.exchange.connection import Connection, Patience

__all__ = ["BRACKETS_SOURCE", "KEY_SETTING", "SECRET_SETTING", "Bracket", "ExchangeKey", "fetch_brackets"]

KEY_SETTING, SECRET_SETTING = "BEARMODE_EXCHANGE_KEY", "BEARMODE_EXCHANGE_SECRET"
BRACKETS_SOURCE = "/fapi/v1/leverageBracket of Binance USD-margined futures"
_SIGNED = re.compile(r"(signature|timestamp|recvWindow)=[^&\s)]*")
_OUR_NAME = re.compile(r"^[A-Z0-9]{2,24}$")


@dataclass(frozen=True)
class ExchangeKey:
    """A key that may read; it is never written, printed or logged.

    Attributes
    ----------
    key, secret : str
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def from_environment(cls) -> ExchangeKey:
        """Read the key from the environment.

        Raises
        ------
        BearmodeError
            ``no_exchange_key``: it is not there.
        """
        key, secret = os.environ.get(KEY_SETTING), os.environ.get(SECRET_SETTING)
        if not key or not secret:
            missing = ", ".join(
                name for name, value in ((KEY_SETTING, key), (SECRET_SETTING, secret)) if not value
            )
            raise BearmodeError(
                f"Binance gives its margin tiers only to an API key; not set: {missing}",
                code="no_exchange_key",
                hint="a key with reading rights is enough; the tiers that ship stay in use until then",
            )
        return cls(key, secret)


@dataclass(frozen=True, slots=True)
class Bracket:
    """One bracket of one contract, as the exchange gives it; quote currency.

    Attributes
    ----------
    floor, cap : float
        Notional: above ``floor``, up to ``cap``.
    max_leverage, rate, amount : float
        Maintenance margin is ``notional x rate - amount``.
    """

    floor: float
    cap: float
    max_leverage: float
    rate: float
    amount: float


def fetch_brackets(
    key: ExchangeKey, *, url: str | None = None, patience: Patience | None = None
) -> dict[str, list[Bracket]]:
    """Ask for the brackets of every USDT-margined contract, smallest notional first.

    Parameters
    ----------
    key : ExchangeKey
    url : str, optional
        Of a mirror, in place of scheme and host.
    patience : Patience, optional

    Raises
    ------
    BearmodeError
        If the exchange gives no answer, refuses the key, or its answer has not the known form.
    """
    line = Connection(
        "binanceusdm",
        {},
        lambda answer: answer,
        url=url,
        patience=patience or Patience(),
        credentials={"apiKey": key.key, "secret": key.secret},
    )
    try:
        answer = line.ask("the margin tiers", lambda client: client.fapiPrivateGetLeverageBracket({}))
        found = {str(one["symbol"]): _brackets(one["brackets"]) for one in answer}
    except BearmodeError as error:
        raise _without_secrets(error, key) from None
    except (TypeError, KeyError, ValueError) as error:
        raise line.nonsense("the margin tiers", f"it has not the known form ({error!r})") from error
    finally:
        line.close()
    return {name: one for name, one in found.items() if name.endswith("USDT") and _OUR_NAME.match(name)}


def _brackets(rows: list[Mapping[str, Any]]) -> list[Bracket]:
    found = [
        Bracket(
            floor=float(row["notionalFloor"]),
            cap=float(row["notionalCap"]),
            max_leverage=float(row["initialLeverage"]),
            rate=float(row["maintMarginRatio"]),
            amount=float(row["cum"]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: one.floor)


def _without_secrets(error: BearmodeError, key: ExchangeKey) -> BearmodeError:
    """The same error; whatever the library quotes of the signed request is blotted out."""

    def clean(text: str) -> str:
        for secret in (key.key, key.secret):
            text = text.replace(secret, "...")
        return _SIGNED.sub(r"\1=...", text)

    hint = "check that the key may read futures from this address; the tiers in use stay as they are"
    return type(error)(clean(error.message), code=error.code, field=error.field, hint=hint)
