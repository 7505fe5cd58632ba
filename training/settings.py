"""Where things live: ``bearmode.toml``, then ``BEARMODE_*``, then options.

The file's top level holds the fields below; its tables ``[serving]``, ``[live]`` and ``[gate]`` are read
elsewhere.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.errors import UsageError
from serving.settings import SETTINGS_FILE

__all__ = ["Places"]


class Places(BaseModel):
    """Folders of the project, absolute once loaded, and the hosts it asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Path | str = Field(
        Path("data"), description="history store, a folder or an fsspec URL; BEARMODE_STORE, --store"
    )
    bundles: Path = Field(Path("bundles"), description="bundles and champion.json; BEARMODE_BUNDLES")
    mlruns: Path = Field(Path("mlruns"), description="MLflow database and artifacts; BEARMODE_MLRUNS")

    tiers: Path = Field(
        Path("margin-tiers.json"), description="margin tiers newer than what ships; BEARMODE_TIERS"
    )
    archive_url: str | None = Field(
        None, description="a mirror of the Binance public archive; BEARMODE_ARCHIVE_URL, --archive-url"
    )
    exchange_url: str | None = Field(
        None, description="base URL in place of the exchange's own; BEARMODE_EXCHANGE_URL, --exchange-url"
    )
    fear_greed_url: str | None = Field(
        None, description="in place of alternative.me's; BEARMODE_FEAR_GREED_URL"
    )

    @field_validator("store")
    @classmethod
    def _folder_or_url(cls, value: Path | str) -> Path | str:
        return value if "://" in str(value) else Path(value)

    @classmethod
    def load(cls, **options: Path | str | None) -> Places:
        """Read file and environment; options that are not ``None`` win.

        Raises
        ------
        UsageError
            For a name or value that makes no sense.
        """
        values: dict[str, object] = {}
        if SETTINGS_FILE.is_file():
            try:
                table = tomllib.loads(SETTINGS_FILE.read_text(encoding="utf-8"))
            except (OSError, tomllib.TOMLDecodeError) as error:
                raise UsageError(f"{SETTINGS_FILE} is not readable: {error}") from error
            for other in ("serving", "live", "gate"):
                table.pop(other, None)
            values |= table
        for name in cls.model_fields:
            found = os.environ.get(f"BEARMODE_{name.upper()}")
            if found:
                values[name] = found
        values |= {name: value for name, value in options.items() if value is not None}
        try:
            places = cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                f"{SETTINGS_FILE}: setting {'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from error
        folders = {
            name: one.absolute()
            for name in cls.model_fields
            if isinstance(one := getattr(places, name), Path)
        }
        return places.model_copy(update=folders)

    @property
    def tracking_uri(self) -> str:
        """MLflow's own variable, or the database under ``mlruns``."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlruns / 'mlflow.db'}"
