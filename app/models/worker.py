"""The table of workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.models.base import Base


class Worker(Base):
    """A worker process that is attached, or once was."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    """`online`, `stopped` (it said goodbye) or `dead` (found silent; its jobs were requeued)."""
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
