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
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now, index=True)
