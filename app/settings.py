"""Settings of the service, read from `HEADROOM_*` environment variables."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from limits import parse_many as parse_rates
from pydantic import Field, field_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.worker_settings import WorkerSettings
from planner.quantities import Bytes

_CUT_NOTICED = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


class Settings(WorkerSettings):
    """Everything that can be configured. Each field is the variable `HEADROOM_<FIELD>`."""

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
    max_pending_per_owner: int = Field(
        default=1_000,
        ge=1,
        description="most unfinished jobs of the keys of one owner; beyond it a POST is a 429",
    )
    share_by_default: bool = Field(
        default=False, description="whether others see what is stored with a key, unless told"
    )
    cors_origins: list[str] = Field(
        default=[],
        description='pages of other origins that may call, as a JSON list: ["https://..."]',
    )
    trusted_proxies: list[str] = Field(
        default=["127.0.0.1", "::1"],
        description="addresses and networks of reverse proxies, as a JSON list, whose "
        'X-Forwarded-For is believed: ["10.0.0.0/8"]',
    )
    max_body_bytes: Bytes = Field(default=1024**2, description="largest request body")
    max_result_bytes: Bytes = Field(
        default=256 * 1024**2,
        description="largest result, with its compressed files, that a worker over HTTP delivers",
    )
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
        description="jobs, timelines and peaks that an API process keeps as it answered them",
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

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str | None) -> str | None:
        if url is not None:
            parse_database_url(url)
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _known_networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError(
                    f"{proxy!r} is no address and no network; write it like 10.0.0.7 or 10.0.0.0/8"
                ) from None
        return proxies

    @field_validator("rate_limit")
    @classmethod
    def _known_rate(cls, rate: str | None) -> str | None:
        return check_rate(rate)

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a SQLite file, which `serve` migrates by itself."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def secrets(self) -> list[str]:
        """What must never be logged."""
        password = self.url.password
        return [str(password)] if password else []

    @property
    def url(self) -> URL:
        """The database, with the synchronous driver of its kind."""
        if self.database_url is not None:
            return _noticing_cuts(parse_database_url(self.database_url))
        return URL.create("sqlite", database=str(self.data_dir / "headroom.db"))


def check_rate(rate: str | None) -> str | None:
    """The rate, or none.

    Raises:
        ValueError: not a single one such as 600/minute, in at most 40 characters.
    """
    if rate is None:
        return None
    try:
        found = parse_rates(rate)
    except ValueError:
        found = []
    if len(rate) > 40 or [each.amount > 0 for each in found] != [True]:
        raise ValueError(f"{rate[:60]!r} is no rate; write it like 600/minute or 20/second")
    return rate


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


def _noticing_cuts(url: URL) -> URL:
    """Have a connection whose network is cut fail within seconds; without this, what waits for an
    answer waits for as long as the kernel goes on sending: a quarter of an hour.

    libpq's parameters; what the URL itself says comes first.
    """
    if url.get_backend_name() != "postgresql":
        return url
    return url.set(query={**_CUT_NOTICED, **url.query})
