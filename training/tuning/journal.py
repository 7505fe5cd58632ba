"""The file that a search is kept in: one line an event, so that a killed search goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from features.errors import BearmodeError, LockedError

if TYPE_CHECKING:
    import optuna

__all__ = ["open_study"]


@contextmanager
def open_study(
    file: Path, name: str, *, seed: int, pruner: optuna.pruners.BasePruner
) -> Iterator[optuna.Study]:
    """Hold a study open, alone; a new one, or what a killed process has left.

    Parameters
    ----------
    file : Path
        Optuna's journal.
    name : str
    seed : int
        Of the sampler, before the first trial sets its own.
    pruner : optuna.pruners.BasePruner

    Raises
    ------
    LockedError
        At once, if another process is at it.
    BearmodeError
        If the file cannot be written, or is no journal.
    """
    import optuna  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415
    from optuna.trial import TrialState  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lock = filelock.FileLock(file.with_name(f"{file.name}.held"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        _mend(file)
    except filelock.Timeout as error:
        raise LockedError(
            f"another process searches with {file}",
            hint="wait until it has ended, or stop it: it can go on later",
        ) from error
    except OSError as error:
        lock.release()
        raise BearmodeError(
            f"{file} cannot be written: {error.strerror or error}", code="bad_study"
        ) from error
    try:
        study = optuna.create_study(
            study_name=name,
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(file))),
            sampler=optuna.samplers.RandomSampler(seed=seed),
            pruner=pruner,
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
            study.tell(trial.number, state=TrialState.FAIL)  # its process was killed; it is drawn again
        yield study
    except (ValueError, KeyError) as error:
        if isinstance(error, BearmodeError):
            raise
        raise BearmodeError(
            f"{file} is no journal of a search: {error}", code="bad_study", hint="move it away and start anew"
        ) from error
    finally:
        lock.release()


def _mend(file: Path) -> None:
    """Cut off a last line that a killed process has left half written, and the lock it held."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if not file.exists():
        return
    with file.open("rb+") as content:
        data = content.read()
        content.truncate(data.rfind(b"\n") + 1)
