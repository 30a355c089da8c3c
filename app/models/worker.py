"""The table of workers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base


class WorkerState(StrEnum):
    """What a worker does, or what became of it."""

    ONLINE = "online"
    """It waits for jobs."""
    BUSY = "busy"
    """It has one. Not stored: online workers that have jobs are busy."""
    DRAINING = "draining"
    """It was told to stop: it takes no more jobs, and finishes or hands back what it has."""
    OFFLINE = "offline"
    """It said goodbye."""
    LOST = "lost"
    """It has been silent too long; its jobs were requeued."""


class AttachmentKind(StrEnum):
    """How a worker reaches its jobs."""

    DIRECT = "direct"
    """It is in the database itself."""
    GATEWAY = "gateway"
    """It calls the API, and has no access to the database."""


ATTACHED = (WorkerState.ONLINE, WorkerState.DRAINING)
"""Stored states of workers that send heartbeats."""


class Worker(Base):
    """A worker process that is attached, or once was."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    """A `WorkerState`, but `busy`."""
    labels: Mapped[dict[str, str]] = mapped_column(Json)
    run_queue: Mapped[str] = mapped_column(String(200))
    simulates: Mapped[bool] = mapped_column()
    device: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[dict[str, str]] = mapped_column(Json)
    hostname: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column()
    jobs: Mapped[list[str]] = mapped_column(Json)
    session_id: Mapped[str | None] = mapped_column(String(36), unique=True)
    """Of one that is attached over HTTP: the life that its process now lives."""
    key_id: Mapped[str | None] = mapped_column(String(40))
    """The API key that a worker over HTTP attached with; no other may speak for it."""
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, index=True)

    @property
    def attachment(self) -> AttachmentKind:
        """How it is attached."""
        return AttachmentKind.DIRECT if self.session_id is None else AttachmentKind.GATEWAY
