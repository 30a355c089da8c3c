"""The table of attempts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    FINISHED = "finished"
    LOST = "lost"
    """The worker died under it. Counts against the cap of attempts."""
    INTERRUPTED = "interrupted"
    """The worker was told to stop. Does not count."""
    CANCELLED = "cancelled"


class JobAttempt(Base):
    """One time that a worker took up a job."""

    __tablename__ = "job_attempt"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(String(40), index=True)
    number: Mapped[int] = mapped_column()
    worker_id: Mapped[str] = mapped_column(String(200))
    lease_id: Mapped[str | None] = mapped_column(String(36), unique=True)
    """Of a worker that is attached over HTTP: its name for the attempt."""
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(20))
    exit: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """How the child process ended: exit code or signal."""
