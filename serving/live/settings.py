"""Settings of live mode: table ``[live]`` of ``bearmode.toml``, then ``BEARMODE_LIVE_*``, then options.

The secrets of webhooks come from the environment alone and are no fields here: what is not held
cannot be logged.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from features.errors import UsageError
from serving.settings import SETTINGS_FILE, settings_table

__all__ = ["SECRET_VARIABLE", "EventType", "LiveSettings", "Webhook", "secret_of"]

EventType = Literal["regime_change", "data_stale", "data_fresh", "model_changed"]
SECRET_VARIABLE = "BEARMODE_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
LEAST_SECRET = 16
_SYMBOL = re.compile(r"^[A-Z0-9]{2,24}$")
_NAME = re.compile(r"^[a-z0-9_]{1,32}$")


class Webhook(BaseModel):
    """One address that is told of events.

    Examples
    --------
    >>> Webhook(name="desk", url="https://desk.example/hook").host
    'desk.example'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="of the secret's variable too: desk reads BEARMODE_WEBHOOK_SECRET_DESK")
    url: str = Field(description="https; http only to this machine", repr=False)
    symbols: tuple[str, ...] = Field((), description="only events of these; of all by default")
    events: tuple[EventType, ...] = Field(("regime_change",), description="which kinds of events")

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError("expected small letters, digits and underscores, at most 32")
        return name

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or any(mark.isspace() for mark in url):
            raise ValueError("expected an address such as https://desk.example/hook")
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("http sends events in the clear: expected https, http only to this machine")
        return url

    @property
    def host(self) -> str:
        """Host without path, query or password: what may be shown."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return _is_loopback(self.host)

    def wants(self, kind: str, symbol: str | None) -> bool:
        """Whether it is to be told of an event."""
        return kind in self.events and (not self.symbols or symbol is None or symbol in self.symbols)


class LiveSettings(BaseSettings):
    """How live mode runs. Field ``source`` is ``BEARMODE_LIVE_SOURCE`` in the environment.

    Examples
    --------
    >>> LiveSettings.load(symbols="BTCUSDT,ETHUSDT").symbols
    ('BTCUSDT', 'ETHUSDT')
    """

    model_config = SettingsConfigDict(
        env_prefix="BEARMODE_LIVE_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    symbols: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="symbols that are kept up to date and watched; none: live mode is off"
    )
    source: Literal["exchange", "archive", "files", "simulated"] = Field(
        "exchange", description="where new bars come from"
    )
    exchange: str = Field("binanceusdm", description="for source exchange: binanceusdm, okx or bybit")
    path: Path | None = Field(None, description="for source files: their folder")
    state: Path = Field(Path("live"), description="folder of the event log, the board and the state")
    delay_seconds: float = Field(
        20.0, ge=0, le=3_600, description="so long after a bar's close its source is asked"
    )
    jitter_seconds: float = Field(
        10.0, ge=0, le=600, description="and up to so much later, drawn anew each time"
    )
    retry_seconds: float = Field(
        15.0, gt=0, le=600, description="wait before the source is asked again; it doubles up to 5 minutes"
    )
    update_seconds: float = Field(
        300.0, gt=0, le=7_200, description="an update that takes longer is ended and counts as failed"
    )
    keep_events: int = Field(10_000, ge=10, le=1_000_000, description="newest events that are kept")
    heartbeat_seconds: float = Field(
        15.0, gt=0, le=300, description="a stream without events gets a comment so often"
    )
    max_streams: int = Field(100, ge=1, le=10_000, description="open event streams of each worker")
    webhook_seconds: float = Field(10.0, gt=0, le=120, description="time a receiver has for its answer")
    webhook_attempts: int = Field(
        12, ge=1, le=100, description="deliveries tried before one is put aside as dead"
    )
    webhook_retry_seconds: float = Field(
        5.0, gt=0, le=3_600, description="wait before the second attempt; it doubles up to an hour"
    )
    webhooks: tuple[Webhook, ...] = Field((), description="addresses that are told of events")
    simulated_from: AwareDatetime | None = Field(
        None, description="for source simulated: where its clock begins, with its zone; now by default"
    )
    simulated_speed: float = Field(
        1.0, gt=0, le=100_000, description="for source simulated: seconds of its clock in a second"
    )

    @classmethod
    def load(cls, **options: object) -> LiveSettings:
        """Read file and environment; ``options`` that are not ``None`` win.

        Raises
        ------
        UsageError
            A value or name is wrong; says which and where it may come from.
        """
        given = {name: value for name, value in options.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "live"
            raise UsageError(
                f"setting live.{name}: {first['msg'].removeprefix('Value error, ')}",
                field=name,
                hint=f"set in {SETTINGS_FILE} under [live], as BEARMODE_LIVE_{name.upper()} or as an option",
            ) from error

    @field_validator("symbols", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("symbols")
    @classmethod
    def _are_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _SYMBOL.match(name):
                raise ValueError(f"{name[:40]!r} is no symbol: capital letters and digits, BTCUSDT")
        if len(set(value)) != len(value):
            raise ValueError("a symbol is named twice")
        return value

    @model_validator(mode="after")
    def _belong_together(self) -> LiveSettings:
        if self.symbols and self.source == "files" and self.path is None:
            raise ValueError("source files needs a path")
        real = [name for name in self.symbols if self.source == "simulated" and not name.startswith("SIM")]
        if real:
            raise ValueError(f"a simulated market may not bear the name {real[0]}: begin it with SIM")
        slow = self.simulated_from is None and self.simulated_speed == 1.0
        if self.source != "simulated" and not slow:
            raise ValueError("simulated_from and simulated_speed belong to source simulated")
        if len({hook.name for hook in self.webhooks}) != len(self.webhooks):
            raise ValueError("two webhooks have the same name")
        return self

    @property
    def is_on(self) -> bool:
        """Whether there is anything to watch."""
        return bool(self.symbols)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options, then environment, then file; the first that has a value wins."""
        table: dict[str, Any] = settings_table(SETTINGS_FILE, "live")
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=table)


def secret_of(hook: Webhook) -> bytes:
    """The secret that a webhook's deliveries are signed with, from the environment.

    Raises
    ------
    UsageError
        If there is none, or it is too short.
    """
    own = f"{SECRET_VARIABLE}_{hook.name.upper()}"
    found = os.environ.get(own) or os.environ.get(SECRET_VARIABLE) or ""
    if len(found) < LEAST_SECRET:
        raise UsageError(
            f"webhook {hook.name}: {own} holds {len(found)} characters, expected at least {LEAST_SECRET}",
            field=own,
            hint="openssl rand -hex 32",
        )
    return found.encode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
