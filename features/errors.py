"""The errors of the project, one tree.

    BearmodeError                 exit 1, HTTP 500
    ├── UsageError                exit 2, HTTP 422   an option or setting that makes no sense
    ├── DataError                 exit 1, HTTP 422   input that breaks a rule of the data
    │   ├── HistoryError                             a bar table that is not a history
    │   └── WindowError                              a request window that cannot be answered
    ├── NothingUsableError        exit 3, HTTP 422   no usable data at all
    ├── TrainingError             exit 1             a run that cannot produce an honest model
    ├── BundleError               exit 1, HTTP 503   a served artifact that fails its proof
    ├── GateRefusedError          exit 4             a challenger that is not better
    └── LockedError               exit 5             somebody else is writing

Every error has a stable snake-case ``code``, a ``message`` that says what was got and what was
expected, the ``field`` it is about (a path such as ``close[17]``) or ``None``, and a ``hint`` on
how to mend it. Commands print ``message`` and ``hint`` on one line; the service sends all four.
"""

from __future__ import annotations

__all__ = [
    "BearmodeError",
    "BundleError",
    "DataError",
    "GateRefusedError",
    "HistoryError",
    "LockedError",
    "NothingUsableError",
    "TrainingError",
    "UsageError",
    "WindowError",
]


class BearmodeError(Exception):
    """An error that a user can act on.

    Parameters
    ----------
    message : str
        What was wrong: what was got, what was expected.
    code : str, optional
        Stable snake-case name; the class's own by default.
    field : str, optional
        Path of the value at fault, ``None`` where there is none.
    hint : str, optional
        How to mend it.

    Examples
    --------
    >>> error = DataError("close[3] is -1.0, expected a positive price", field="close[3]")
    >>> error.code, error.exit_code, error.status
    ('bad_data', 1, 422)
    """

    default_code = "internal"
    exit_code = 1
    status = 500

    def __init__(
        self, message: str, *, code: str | None = None, field: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.field = field
        self.hint = hint

    def one_line(self) -> str:
        """Message and hint on one line, for the terminal."""
        text = self.message if self.hint is None else f"{self.message} ({self.hint})"
        return " ".join(text.split())


class UsageError(BearmodeError):
    """An option or a setting that makes no sense."""

    default_code = "bad_usage"
    exit_code = 2
    status = 422


class DataError(BearmodeError):
    """Input that breaks a rule of the data."""

    default_code = "bad_data"
    status = 422


class HistoryError(DataError):
    """A bar table that is not a history: order, grid, prices."""

    default_code = "bad_history"


class WindowError(DataError):
    """A request window that cannot be answered."""

    default_code = "bad_window"


class NothingUsableError(BearmodeError):
    """There is no usable data at all."""

    default_code = "nothing_usable"
    exit_code = 3
    status = 422


class TrainingError(BearmodeError):
    """A training run that cannot produce an honest model."""

    default_code = "cannot_train"


class BundleError(BearmodeError):
    """A served artifact that fails its proof."""

    default_code = "bad_bundle"
    status = 503


class GateRefusedError(BearmodeError):
    """A challenger that did not show that it is better."""

    default_code = "gate_refused"
    exit_code = 4


class LockedError(BearmodeError):
    """Somebody else holds the lock."""

    default_code = "locked"
    exit_code = 5
    status = 503
