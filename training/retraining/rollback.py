"""Back to an earlier champion: proven again first, then the file that serves, then the registry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.errors import BundleError
from serving.bundle import Champion, champion
from serving.predictor import Predictor
from training.promotion import enthrone
from training.retraining.journal import Journal
from training.retraining.lock import bundles_locked
from training.retraining.registry import mirror_entry, move_alias
from training.retraining.succession import before, line_of_succession, reconcile, succession
from training.settings import Places

__all__ = ["RolledBack", "rollback"]


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did.

    Attributes
    ----------
    version : str
        Champion from now on.
    before : str or None
        Champion until now; ``None`` where ``champion.json`` was broken.
    previous : str or None
        Where the next rollback would go to.
    alias : bool
        Whether the registry's alias has followed.
    """

    version: str
    before: str | None
    previous: str | None
    alias: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def rollback(places: Places, version: str | None = None) -> RolledBack:
    """Make an earlier bundle the champion again.

    Parameters
    ----------
    places : Places
    version : str, optional
        An installed bundle, or the head of its version; the champion before the present one by default.

    Returns
    -------
    RolledBack

    Raises
    ------
    BundleError
        If there is nothing to go back to, or it fails its proof: the champion stays.
        A broken ``champion.json`` is replaced, by the last champion of the journal if none is named.
    LockedError
        If somebody trains, promotes or removes bundles at the moment.
    """
    bundles = places.bundles
    with bundles_locked(bundles, "rollback"):
        serving, line = _standing(bundles)
        if version is not None:
            target = _installed(bundles, version)
        elif serving is None:
            target = _last_known(bundles, line)
        else:
            target = _earlier(bundles, line)
        if target == serving:
            raise BundleError(f"{target} is the champion already", code="nothing_to_roll_back")
        predictor = _proven(bundles, target)
        # Below the bundle gone back to stands what stood there before, so that the next rollback goes on.
        below = before(line, target)
        previous = next((one for one in reversed(below) if one != target), None)
        new = Champion(version=target, path=target, hash=predictor.bundle.hash, previous=previous)
        words = "asked for" if version is not None else "the champion before"
        if serving is None:
            words += "; champion.json was broken"
        entry = {"action": "rollback", "reason": words, "from": serving}
        enthrone(bundles, new, entry)
        moved = move_alias(places, bundles / target)
        run_id = predictor.run.run_id
        if run_id is not None:
            mirror_entry(places, run_id, Journal(bundles).entries()[-1])
    return RolledBack(target, serving, previous, moved)


def _standing(bundles: Path) -> tuple[str | None, list[str]]:
    """Version of the champion, ``None`` where its file is broken, and who was before whom."""
    try:
        named = champion(bundles)
    except BundleError:
        return None, succession(Journal(bundles).entries())
    if named is None:
        raise BundleError(
            f"no model has been promoted in {bundles}: there is nothing to roll back",
            code="no_champion",
            hint="run 'bearmode train' first",
        )
    reconcile(bundles)
    return named.version, line_of_succession(bundles)


def _last_known(bundles: Path, line: list[str]) -> str:
    """The champion that the journal names, where ``champion.json`` is broken."""
    if not line:
        raise BundleError(
            f"{bundles / 'champion.json'} is broken, and the journal names no champion",
            hint="name an installed bundle: bearmode rollback VERSION",
        )
    return line[-1]


def _earlier(bundles: Path, line: list[str]) -> str:
    if len(line) < 2:
        raise BundleError(
            f"{line[-1]} is the only champion there has been: there is nothing to roll back to",
            code="nothing_to_roll_back",
            hint="name an installed bundle: bearmode rollback VERSION",
        )
    if not (bundles / line[-2]).is_dir():
        kept = [one for one in reversed(line[:-2]) if (bundles / one).is_dir()]
        hint = f"name an older one: bearmode rollback {kept[0]}" if kept else "train again"
        raise BundleError(
            f"{line[-2]}, the champion before {line[-1]}, is not installed any more",
            code="nothing_to_roll_back",
            hint=hint,
        )
    return line[-2]


def _installed(bundles: Path, version: str) -> str:
    """The one installed bundle whose version begins so."""
    found = sorted(path.parent.name for path in bundles.glob("[0-9a-f]*/manifest.json"))
    matching = [name for name in found if name == version] or [
        name for name in found if len(version) >= 4 and name.startswith(version)
    ]
    if len(matching) == 1:
        return matching[0]
    said = "more than one installed bundle" if matching else "no installed bundle"
    raise BundleError(
        f"{said} is called {version}",
        code="no_such_bundle",
        field="version",
        hint=f"installed: {', '.join(found) or 'none'}",
    )


def _proven(bundles: Path, version: str) -> Predictor:
    """Load a bundle with its golden rows and windows, and hold it against its name."""
    predictor = Predictor.load(bundles / version)
    if predictor.version != version:
        raise BundleError(
            f"{bundles / version} holds bundle {predictor.version}",
            hint="the bundle was changed by hand; name another one",
        )
    return predictor
