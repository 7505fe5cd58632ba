"""The account of ``predict``: options to what a request's ``account`` holds."""

from __future__ import annotations

from pydantic import ValidationError

from features.errors import UsageError
from serving.portfolio import PortfolioCaps
from serving.schemas import Account, OpenPosition

__all__ = ["account_of", "caps_of", "position_of"]

_POSITION = "side:notional:entry:leverage, such as short:2000:43000:3, and :paid where fees were taken"
_OPTIONS = {
    "equity": "equity",
    "risk_per_trade": "risk-per-trade",
    "leverage_cap": "leverage-cap",
    "exchange": "exchange",
    "position": "position",
    "risk": "portfolio-risk",
    "gross": "portfolio-gross",
    "margin": "portfolio-margin",
}


def account_of(
    equity: float | None,
    risk_per_trade: float | None = None,
    leverage_cap: float | None = None,
    exchange: str | None = None,
    position: str | None = None,
) -> Account | None:
    """Build the account that the options describe; ``None`` where none of them was given.

    Parameters
    ----------
    equity : float or None
        Quote currency.
    risk_per_trade : float, optional
        Share of the equity that one position may lose.
    leverage_cap : float, optional
    exchange : str, optional
        ``binance`` or ``okx``.
    position : str, optional
        An open position, as :func:`position_of` reads it.

    Raises
    ------
    UsageError
        If a value is outside of what an account can have, or an option stands without ``--equity``.
    """
    given: dict[str, object] = {
        "risk_per_trade": risk_per_trade,
        "leverage_cap": leverage_cap,
        "exchange": exchange,
        "position": None if position is None else position_of(position),
    }
    given = {name: value for name, value in given.items() if value is not None}
    if equity is None:
        if given:
            first = _OPTIONS[next(iter(given))]
            raise UsageError(f"--{first} needs --equity", field="equity", hint="equity in quote currency")
        return None
    try:
        return Account.model_validate({"equity": equity, **given})
    except ValidationError as error:
        raise _refused(error) from error


def position_of(text: str) -> OpenPosition:
    """Read an open position.

    Raises
    ------
    UsageError
        If it is none.

    Examples
    --------
    >>> position_of("short:2000:43000:3").leverage
    3.0
    """
    side, *numbers = text.split(":")
    if len(numbers) not in {3, 4}:
        raise UsageError(f"--position is {text!r}, expected {_POSITION}", field="position")
    try:
        values = [float(one) for one in numbers]
    except ValueError as error:
        raise UsageError(f"--position is {text!r}, expected {_POSITION}", field="position") from error
    names = ("notional", "entry", "leverage", "paid")
    try:
        return OpenPosition.model_validate({"side": side, **dict(zip(names, values, strict=False))})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"--position is {text!r}, its {where}: {first['msg']}", field="position", hint=f"as {_POSITION}"
        ) from error


def caps_of(risk: float | None, gross: float | None, margin: float | None) -> PortfolioCaps:
    """Build the limits on the whole account; the usual ones where none was given.

    Raises
    ------
    UsageError
        For a limit outside of its bounds.
    """
    given = {"risk": risk, "gross": gross, "margin": margin}
    try:
        return PortfolioCaps.model_validate({name: one for name, one in given.items() if one is not None})
    except ValidationError as error:
        raise _refused(error) from error


def _refused(error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    option = _OPTIONS[str(first["loc"][0])]
    words = first["msg"][:1].lower() + first["msg"][1:]
    if option == "equity":
        words = "it should be an amount above 0"
    return UsageError(
        f"--{option} is {first['input']!r}: {words.replace('input', 'it', 1)}", field=option.replace("-", "_")
    )
