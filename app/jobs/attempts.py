"""What is told of a job's attempts: each time that a worker took it up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import JobAttempt
from app.models.attempt import AttemptOutcome


class AttemptExit(BaseModel):
    """How the process that did the work ended. What it wrote is in the worker's hands only."""

    code: int | None = Field(None, description="exit status; null where a signal ended it")
    signal: str | None = Field(None, description="such as SIGKILL")
    phase: str | None = Field(None, description="the last that it said to be in")
    peak_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None


class Attempt(BaseModel):
    """One time that a worker took up a job."""

    model_config = ConfigDict(from_attributes=True)

    number: int = Field(description="from 1 on")
    worker_id: str
    started_at: datetime
    finished_at: datetime | None = None
    outcome: AttemptOutcome | None = Field(
        None,
        description="null while it lasts; finished: with the job's result; lost: the worker died "
        "or was silent too long (HEADROOM_MAX_ATTEMPTS of these fail the job); interrupted: the "
        "worker was told to stop; cancelled",
    )
    exit: AttemptExit | None = None


async def attempts_of(session: AsyncSession, job_id: str) -> Sequence[Attempt]:
    """The attempts at a job, the first one first."""
    rows = select(JobAttempt).where(JobAttempt.job_id == job_id).order_by(JobAttempt.number)
    return [Attempt.model_validate(row) for row in (await session.scalars(rows)).all()]
