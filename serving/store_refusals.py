"""What a client is told where the live store has no answer: never a path, always what to do."""

from __future__ import annotations

import logging

from features.errors import BearmodeError, NothingUsableError, WindowError

__all__ = ["StoreRefusedError", "no_data", "not_finite", "store_refusal"]

logger = logging.getLogger("bearmode.store")

_SHOWN = 20


class StoreRefusedError(BearmodeError):
    """The live store cannot answer; ``status`` says whether waiting may help."""

    default_code = "store_unusable"
    status = 503

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field, hint=hint)
        self.status = status


def no_data(interval: str) -> StoreRefusedError:
    """There is no store, or nothing in it."""
    return StoreRefusedError(
        f"the live store holds no {interval} bars",
        status=503,
        code="no_store",
        hint="bearmode fetch fills it; BEARMODE_STORE names the folder that the service reads",
    )


def not_finite(symbol: str) -> StoreRefusedError:
    """An answer with a number that JSON does not have: no answer is better than that."""
    return StoreRefusedError(
        f"{symbol} could not be answered",
        status=503,
        code="store_unusable",
        field="symbol",
        hint="the service's log says why",
    )


def store_refusal(symbol: str, error: BearmodeError, known: list[str]) -> StoreRefusedError:
    """The error to answer with for one symbol.

    Parameters
    ----------
    symbol : str
    error : BearmodeError
        As reading the store, or answering from it, raised it.
    known : list of str
        Symbols that the store holds, for the hint.
    """
    if isinstance(error, StoreRefusedError):
        return error
    if isinstance(error, NothingUsableError):
        names = ", ".join(known[:_SHOWN]) + (" and more" if len(known) > _SHOWN else "")
        return StoreRefusedError(
            f"the live store has no bars of {symbol}",
            status=404,
            code="unknown_symbol",
            field="symbol",
            hint=f"it holds {names}" if names else f"bearmode fetch --symbols {symbol}",
        )
    if isinstance(error, WindowError):
        return StoreRefusedError(
            f"{symbol} cannot be answered from the live store: {error.message}",
            status=503,
            code=error.code,
            field="symbol",
            hint=f"bearmode audit {symbol} says what is missing, bearmode update fetches it",
        )
    logger.error("%s cannot be read from the store: %s", symbol, error.one_line(), exc_info=error)
    return StoreRefusedError(
        f"the live store's data of {symbol} cannot be used",
        status=503,
        code="store_unusable" if error.code == "internal" else error.code,
        field="symbol",
        hint=f"the service's log says why; bearmode audit {symbol} examines it",
    )
