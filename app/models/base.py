"""Base of the tables, and the columns that every kind of job has."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import Index, MetaData, String, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from app.kit.columns import Json, UtcDateTime, utc_now
from app.telemetry.tracing import current_traceparent, trace_id_of


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


class OwnedColumns:
    """Whose a row is, and who sees it: `app.access.caller.Caller`."""

    owner: Mapped[str | None] = mapped_column(String(100))
    """NULL where no key was given, and of what is older than owners."""
    shared: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether others see it as well."""


class JobColumns(OwnedColumns):
    """What simulations, plans and runs share: the state of the work done for them."""

    kind: ClassVar[str]
    prefix: ClassVar[str]

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[Index, ...]:
        """For lists of what one sees, for turns and limits of unfinished jobs, and for pages of
        lists, which are ordered by id. Each of those has the other filters as well: rows are long,
        and one that another filter leaves out is not to be read.
        """
        table = cls.__tablename__  # type: ignore[attr-defined]
        shared = text("shared")
        return (
            Index(f"ix_{table}_owner", "owner", "id"),
            Index(f"ix_{table}_shared", "id", postgresql_where=shared, sqlite_where=shared),
            Index(f"ix_{table}_turn", "status", "owner", "queue", "priority"),
            *(_filter_index(table, first) for first in FILTERS),
        )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default=JobStatus.QUEUED)
    queue: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int] = mapped_column(default=1, server_default="1")
    """Workers take the least of a queue first, and of equals the oldest; see `app.jobs.turns`."""

    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    problem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    worker_id: Mapped[str | None] = mapped_column(String(200), index=True)
    version: Mapped[int] = mapped_column(default=1)
    """Counts the changes of the row; the entity tag is made of it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utc_now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    traceparent: Mapped[str | None] = mapped_column(String(55), default=current_traceparent)
    """The span of the request that made the job (W3C), of which its attempts are part."""

    @property
    def trace_id(self) -> str | None:
        """The trace that the job belongs to."""
        return trace_id_of(self.traceparent)


class AnswerColumns:
    """What simulations and plans share: a request, whose answer identical requests share."""

    request: Mapped[dict[str, Any]] = mapped_column(Json)
    versions: Mapped[dict[str, str]] = mapped_column(Json)
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    reusable_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    """The hash of owner and content while an identical request may share this row; NULL once it
    has failed or was cancelled. Unique, so that requests arriving together make one row."""

    model_type: Mapped[str | None] = mapped_column(String(200))
    task: Mapped[str | None] = mapped_column(String(60))
    mode: Mapped[str] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(100))


def _filter_index(table: str, first: str) -> Index:
    others = (name for name in FILTERS if name != first)
    return Index(f"ix_{table}_{first}", first, "id", *others)
