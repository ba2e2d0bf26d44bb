"""Paths and settings, read from the environment as ``FONTANELLE_*``."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "FONTANELLE_"
ROOT = Path(__file__).resolve().parent.parent


class ConfigError(ValueError):
    """A setting that Fontanelle does not know, or whose value it can't use."""


class Settings(BaseSettings):
    """Everything that the environment may set; field ``x`` is variable ``FONTANELLE_X``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data_dir: Path = ROOT / "data"
    models_dir: Path = ROOT / "models"
    # SQLAlchemy URL of the feedback store; empty: SQLite in data_dir.
    database_url: str = ""
    # auto: cuda, then mps, then cpu.
    device: str = "auto"
    # Dask scheduler that shares out prepare, analyze and evaluate, such as tcp://10.0.0.1:8786; empty:
    # processes of this machine. See docs/cluster.md.
    scheduler: str = ""
    # Command with {image} and {mask}, for example "mri_synthstrip -i {image} -m {mask}".
    brain_extractor: str = ""
    # Key that signs volume URLs; empty: drawn at server start.
    secret: str = ""
    max_upload_mb: int = 200
    # Whether a reader reads each scan without the model's flags first.
    unaided_read: bool = True
    # Whether readers may read scans that are not assigned to them.
    free_reading: bool = True
    # Names of readers, parted by commas, who may assign, adjudicate, teach and edit the vocabulary.
    coordinators: str = ""
    # Folder below which coordinators may import scans from the app; empty: no import.
    import_root: str = ""

    @property
    def derivatives_dir(self) -> Path:
        """Root of what ``core`` writes and ``app`` shows."""
        return self.data_dir / "derivatives" / "fontanelle"

    @property
    def demo_dir(self) -> Path:
        """BIDS folder of the synthetic cohort."""
        return self.data_dir / "demo"

    @property
    def uploads_dir(self) -> Path:
        """BIDS folder of uploaded scans."""
        return self.data_dir / "uploads"

    @property
    def jobs_dir(self) -> Path:
        """Job table of background analyses, one folder a job."""
        return self.data_dir / "jobs"

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the feedback store, the default filled in."""
        if self.database_url == "":
            return f"sqlite:///{self.data_dir / 'feedback.sqlite'}"
        return self.database_url


def load_settings() -> Settings:
    """Read the settings afresh.

    Raises
    ------
    ConfigError
        On an unknown ``FONTANELLE_*`` variable or a value of the wrong type.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ConfigError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValueError as error:
        raise ConfigError(f"bad value in a {PREFIX}* setting: {error}") from error


@cache
def settings() -> Settings:
    """The process's settings, read once. Tests call ``settings.cache_clear()``."""
    return load_settings()
