"""Settings of the service, read from `HEADROOM_*` environment variables."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

from limits import parse as parse_rate
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from planner.quantities import Bytes


def default_data_dir() -> Path:
    """Where the platform keeps an application's data (XDG; Application Support on macOS)."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Headroom"
    root = os.environ.get("XDG_DATA_HOME")
    return (Path(root) if root else Path.home() / ".local" / "share") / "headroom"


class Settings(BaseSettings):
    """Everything that can be configured. Each field is the variable `HEADROOM_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="HEADROOM_", extra="ignore")

    data_dir: Path = Field(
        default_factory=default_data_dir, description="everything the embedded mode writes"
    )
    database_url: str | None = Field(
        default=None, description="sqlite:///path or postgresql://...; default SQLite in data_dir"
    )

    auth: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="whether calls need an API key; auto: where `serve` binds beyond loopback",
    )
    rate_limit: str | None = Field(
        default=None,
        description="calls of one key, or of one address without keys, such as 600/minute; by each "
        "replica",
    )
    cors_origins: list[str] = Field(
        default=[],
        description='pages of other origins that may call, as a JSON list: ["https://..."]',
    )
    max_body_bytes: Bytes = Field(default=1024**2, description="largest request body")
    default_wait_s: float = Field(
        default=30.0, ge=0, description="how long a POST waits without a Prefer header"
    )
    max_wait_s: float = Field(
        default=120.0, ge=0, description="longest wait that Prefer may ask for"
    )
    max_graphs_at_once: int = Field(
        default=1, ge=1, description="graph and timeline computations running at the same time"
    )
    rendered_cache_bytes: Bytes = Field(
        default=64 * 1024**2,
        description="items of lists that an API process keeps as it answered them",
    )
    event_retention_days: int = Field(default=7, ge=1)

    queue_poll_s: float = Field(default=0.2, gt=0, description="how often a worker looks for jobs")
    heartbeat_s: float = Field(default=2.0, gt=0)
    worker_stale_s: float = Field(
        default=15.0,
        gt=0,
        description="a worker silent for this long is dead; its jobs are requeued",
    )
    worker_nice: int = Field(
        default=5,
        ge=0,
        le=19,
        description="how far workers and their children yield to other processes of the machine",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="how often a job may take its worker down before it has failed"
    )
    simulations_at_once: int = Field(
        default=1, ge=1, description="simulations that one worker traces at the same time"
    )
    simulation_timeout_s: float = Field(default=300.0, gt=0)
    simulation_memory_bytes: Bytes = Field(default=8 * 1024**3)
    plan_timeout_s: float = Field(
        default=1800.0, gt=0, description="a plan has the memory limit of a simulation"
    )
    run_timeout_s: float = Field(default=1800.0, gt=0)
    run_memory_bytes: Bytes | None = Field(
        default=None, description="memory limit of a run on CPU; default: what the machine has"
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        if url is not None:
            parse_database_url(url)
        return url

    @field_validator("rate_limit")
    @classmethod
    def _known_rate(cls, rate: str | None) -> str | None:
        try:
            if rate is not None:
                parse_rate(rate)
        except ValueError:
            raise ValueError(
                f"{rate!r} is no rate; write it like 600/minute or 20/second"
            ) from None
        return rate

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a SQLite file, which `serve` migrates by itself."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def url(self) -> URL:
        """The database, with the synchronous driver of its kind."""
        if self.database_url is not None:
            return parse_database_url(self.database_url)
        return URL.create("sqlite", database=str(self.data_dir / "headroom.db"))

    def as_environment(self) -> dict[str, str]:
        """Variables that make a child process have the same settings."""
        return {
            f"HEADROOM_{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }


def parse_database_url(text: str) -> URL:
    """Turn what a user writes into a SQLAlchemy URL with the synchronous driver.

    Raises:
        ValueError: not a `sqlite:///path` or `postgresql://...` URL.
    """
    remedy = "write sqlite:///path/to/file.db or postgresql://user:password@host/database"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"is not a database URL; {remedy}") from error
    kind = url.drivername.split("+")[0]
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError(f"needs a file, since API and workers share it; {remedy}")
        return url.set(drivername="sqlite", database=str(Path(url.database or "").absolute()))
    raise ValueError(f"names the unsupported database {kind!r}; {remedy}")
