"""The file of API keys: names and hashes, never a key.

A key is 256 random bits, so a plain SHA-256 keeps it: there is nothing to guess that a slow hash
would have to slow down, and each request is checked against it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import filelock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import UsageError
from features.json_file import write_json

__all__ = ["KEY_PREFIX", "MOST_KEYS", "ApiKey", "add_key", "hash_of", "read_keys", "revoke_key"]

KEY_PREFIX = "bearmode_"
"""Every key begins so: scanners for leaked secrets can tell it."""
MOST_KEYS = 1_000
"""Names of keys are labels in metrics; a file of more is refused."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_LOCK_SECONDS = 10.0


class ApiKey(BaseModel):
    """One key as it is kept.

    Attributes
    ----------
    name : str
        Whose it is; stands in logs and metrics.
    sha256 : str
        Of the key, hexadecimal.
    created : datetime
    expires : datetime or None
        From this moment on it is refused.
    revoked : datetime or None
        Since when it is refused.
    per_minute : float or None
        Requests a minute; the service's own setting where it is null.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    per_minute: float | None = Field(None, gt=0, le=1e6)

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it is taken at a moment."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "active"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    keys: list[ApiKey] = Field(max_length=MOST_KEYS)


def hash_of(key: str) -> str:
    """SHA-256 of a key, hexadecimal.

    Examples
    --------
    >>> hash_of("bearmode_example")[:12]
    '5068f238b84b'
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read_keys(path: Path) -> list[ApiKey]:
    """Read the keys of a file, revoked and expired ones included.

    Raises
    ------
    UsageError
        ``no_keys_file`` where it is missing, ``bad_keys_file`` where it cannot be understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file of keys at {path}", code="no_keys_file", hint="bearmode keys add NAME"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", code="bad_keys_file") from error
    try:
        found = _File.model_validate_json(text)
    except ValidationError as error:
        # Not the value itself: somebody may have put a key where its hash belongs.
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{path} is not a file of keys: {where}: {first['msg']}",
            code="bad_keys_file",
            hint="write it with bearmode keys add and revoke",
        ) from error
    names = [key.name for key in found.keys]
    if len(set(names)) != len(names):
        raise UsageError(f"{path} names a key twice", code="bad_keys_file", hint="remove one of the two")
    return found.keys


def add_key(
    path: Path, name: str, *, per_minute: float | None = None, expires_days: float | None = None
) -> str:
    """Make a key and keep its hash.

    Parameters
    ----------
    path : Path
        Made with its first key, readable by its owner only.
    name : str
        Small letters, digits, dot, dash and underscore, at most 40.
    per_minute : float, optional
    expires_days : float, optional

    Returns
    -------
    str
        The key. It is not kept anywhere.

    Raises
    ------
    UsageError
        For a name that is taken or of another form, a rate or a life that makes no sense.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} is no name of a key",
            field="name",
            hint="small letters, digits, '.', '-' and '_', a letter or digit first, at most 40",
        )
    if per_minute is not None and not 0 < per_minute <= 1e6:
        raise UsageError(f"per-minute is {per_minute:g}, expected more than 0", field="per_minute")
    if expires_days is not None and not 0 < expires_days <= 36_500:
        raise UsageError(f"expires-days is {expires_days:g}, expected more than 0", field="expires_days")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    expires = None if expires_days is None else now + timedelta(days=expires_days)
    with _changing(path):
        keys = read_keys(path) if path.exists() else []
        if any(one.name == name and one.revoked is None for one in keys):
            raise UsageError(
                f"there is a key {name!r} already",
                code="key_exists",
                field="name",
                hint="revoke it first, or take another name",
            )
        if len(keys) >= MOST_KEYS:
            raise UsageError(f"{path} has {len(keys):,} keys, expected at most {MOST_KEYS:,}")
        kept = [one for one in keys if one.name != name]
        new = ApiKey(name=name, sha256=hash_of(key), created=now, expires=expires, per_minute=per_minute)
        _write(path, [*kept, new])
    return key


def revoke_key(path: Path, name: str) -> None:
    """Refuse a key from now on; its name stays in the file.

    Raises
    ------
    UsageError
        If there is no such key, or it is revoked already.
    """
    with _changing(path):
        keys = read_keys(path)
        if not any(one.name == name and one.revoked is None for one in keys):
            raise UsageError(
                f"there is no key {name[:60]!r} to revoke", field="name", hint="bearmode keys list"
            )
        now = datetime.now(UTC).replace(microsecond=0)
        _write(path, [one.model_copy(update={"revoked": now}) if one.name == name else one for one in keys])


def _changing(path: Path) -> filelock.BaseFileLock:
    """Lock of those who change the file: two additions at once lose neither."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS)


def _write(path: Path, keys: list[ApiKey]) -> None:
    write_json(path, json.loads(_File(keys=keys).model_dump_json()))
