"""Settings of the service: ``bearmode.toml``, then ``BEARMODE_*``, then what the caller passes.

The file's table ``[serving]`` holds the fields below; a name that is not one of them is refused.
Nothing is read when this module is imported, only when :meth:`ServingSettings.load` is called.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from features.errors import UsageError

__all__ = ["SETTINGS_FILE", "ServingSettings", "settings_table"]

SETTINGS_FILE = Path("bearmode.toml")
"""Read from the working directory, where it is there."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


def settings_table(path: Path, name: str) -> dict[str, Any]:
    """One table of the settings file, such as ``[serving]``; empty without file or table.

    Raises
    ------
    UsageError
        If the file cannot be read, or the name stands for something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", field=str(path)) from error
    try:
        table = tomllib.loads(text).get(name, {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}", field=str(path)) from error
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {name} is {table!r}, expected a table", hint=f"write [{name}]")
    return table


class ServingSettings(BaseSettings):
    """How the service runs. Field ``port`` is ``BEARMODE_PORT`` in the environment.

    Examples
    --------
    >>> ServingSettings.load(port=3001).port
    3001
    """

    model_config = SettingsConfigDict(
        env_prefix="BEARMODE_", env_ignore_empty=True, extra="forbid", frozen=True
    )

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless told otherwise")
    port: int = Field(3000, ge=0, le=65_535, description="TCP port to listen on; 0 picks a free one")
    bundle: Path | None = Field(
        None, description="serve and follow this one bundle folder; otherwise the champion is served"
    )
    bundles: Path = Field(Path("bundles"), description="folder of the bundles, with champion.json in it")
    workers: int = Field(1, ge=1, le=64, description="worker processes; each holds the bundle, about 130 MB")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="predictions computed at once in a worker; by default one per core of the machine",
    )
    max_concurrency: int = Field(
        64, ge=1, description="requests at once over all workers; more are answered 429"
    )
    timeout_seconds: float = Field(30.0, gt=0, le=600, description="an answer not ready by then is a 504")
    body_limit: int = Field(
        4_000_000, ge=1_000, le=4_000_000, description="bytes of a request body, sent and unpacked"
    )
    batch_limit: int = Field(
        64_000_000, ge=1_000, le=64_000_000, description="bytes of the body of a batch, sent and unpacked"
    )
    batches: int = Field(
        2, ge=1, le=64, description="batches that a worker takes at once; more are answered 429"
    )
    body_seconds: float = Field(15.0, gt=0, le=600, description="time a client has to send its body")
    reload_seconds: float = Field(
        2.0, gt=0, le=3_600, description="how often champion.json, or the bundle folder, is looked at"
    )
    reload_agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of recent and golden windows on which a new bundle must name the same regime as "
        "the one that serves; 0 only shows the share",
    )
    keys: Path = Field(
        Path("keys.json"), description="file of API keys; where it is there, every request needs one"
    )
    allow_open: bool = Field(
        False, description="answer other machines without keys, where something else keeps strangers out"
    )
    rate_per_minute: float = Field(
        600.0, gt=0, le=1e6, description="requests a minute of a key that has no rate of its own"
    )
    rate_burst: float = Field(60.0, ge=1, le=1e6, description="of those, at once")
    open_metrics: bool = Field(False, description="/metrics needs no key")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may read answers, such as https://desk.example; none by default"
    )
    log_format: Literal["text", "json"] = Field("text", description="of the log on standard output")
    prediction_log: Literal["off", "live", "all"] = Field(
        "live",
        description="which answers are kept for bearmode health: those from the store (live), those to "
        "windows that clients sent as well (all), or none (off)",
    )
    prediction_log_dir: Path = Field(Path("predictions"), description="folder of the prediction log")
    prediction_log_seconds: float = Field(
        5.0, gt=0, le=3_600, description="how long an answer may wait in memory to be kept"
    )
    prediction_log_days: int = Field(
        400, ge=1, le=36_500, description="days that are kept; a label is confirmed 20 to 34 days later"
    )
    health_report: Path | None = Field(
        None, description="file of bearmode health --json whose numbers /metrics shows"
    )

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        """A list, or text with commas; each an exact origin."""
        parts = (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )
        for part in parts if isinstance(parts, list | tuple) else ():
            if not _ORIGIN.fullmatch(str(part)):
                raise ValueError(f"{part!r} is no origin, expected such as https://desk.example:8443")
        return parts

    @classmethod
    def load(cls, **options: object) -> ServingSettings:
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
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(
                f"setting {name}: {first['msg']}",
                field=name,
                hint=f"set in {SETTINGS_FILE} under [serving], as BEARMODE_{name.upper()} or as an option",
            ) from error

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
        file_settings = InitSettingsSource(settings_cls, init_kwargs=settings_table(SETTINGS_FILE, "serving"))
        return init_settings, env_settings, file_settings
