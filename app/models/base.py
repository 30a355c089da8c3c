"""Base of the tables, and the columns that every kind of job has."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now


class Base(DeclarativeBase):
    """Declarative base; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class JobStatus(StrEnum):
    """State of a job. Only runs can be `out_of_memory`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OUT_OF_MEMORY = "out_of_memory"

    @property
    def is_final(self) -> bool:
        """Whether the job will never change again."""
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


UNFINISHED = (JobStatus.QUEUED, JobStatus.RUNNING)


FILTERS = ("status", "model_type", "task", "mode", "device")
"""Columns that every list of jobs can be filtered by."""


class JobColumns:
    """What simulations, plans and runs share: the state of the work done for them."""

    kind: ClassVar[str]
    prefix: ClassVar[str]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index, ...]:
        """For pages of lists, which are ordered by id. Each index has the other filters as well:
        rows are long, and one that another filter leaves out is not to be read."""
        table = cls.__tablename__  # type: ignore[attr-defined]
        return tuple(
            Index(f"ix_{table}_{first}", first, "id", *(name for name in FILTERS if name != first))
            for first in FILTERS
        )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default=JobStatus.QUEUED)
    queue: Mapped[str] = mapped_column(String(200))
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    problem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    worker_id: Mapped[str | None] = mapped_column(String(200), index=True)
    version: Mapped[int] = mapped_column(default=1)
    """Counts the changes of the row; the entity tag is made of it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AnswerColumns:
    """What simulations and plans share: a request, whose answer identical requests share."""

    request: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[dict[str, str]] = mapped_column(Json)
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    reusable_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The content hash while an identical request may share this row; NULL once it has failed
    or was cancelled. Unique, so that requests arriving together make one row."""

    model_type: Mapped[str | None] = mapped_column(String(200))
    task: Mapped[str | None] = mapped_column(String(60))
    mode: Mapped[str] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(100))
