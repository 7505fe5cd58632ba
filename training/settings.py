"""Where things live: ``bearmode.toml``, then ``BEARMODE_*``, then options.

The file's top level holds the fields below; its tables ``[serving]`` belong to the service.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.errors import UsageError
from serving.settings import SETTINGS_FILE

__all__ = ["Places"]


class Places(BaseModel):
    """Folders of the project, absolute once loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Path = Field(Path("data"), description="history store; BEARMODE_STORE, --store")
    bundles: Path = Field(Path("bundles"), description="bundles and champion.json; BEARMODE_BUNDLES")
    mlruns: Path = Field(Path("mlruns"), description="MLflow database and artifacts; BEARMODE_MLRUNS")

    @classmethod
    def load(cls, **options: Path | None) -> Places:
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
            table.pop("serving", None)
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
        return cls(**{name: getattr(places, name).absolute() for name in cls.model_fields})

    @property
    def tracking_uri(self) -> str:
        """MLflow's own variable, or the database under ``mlruns``."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlruns / 'mlflow.db'}"
