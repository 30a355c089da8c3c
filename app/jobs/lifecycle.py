"""All state changes of jobs. Each is conditional on the state it leaves and writes its event.

queued -> running -> succeeded | failed | out_of_memory; queued | running -> cancelled;
running -> queued when the worker stopped or died.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import row_count
from app.kit.clock import current_time, database_now
from app.models import DesignSearch, Event, JobAttempt, JobStatus, Plan, Run, Simulation
from app.models.attempt import AttemptOutcome
from app.models.base import UNFINISHED, AnswerColumns
from app.telemetry import tallies
from planner.errors import WorkerCrashed

Job = Simulation | Plan | Run | DesignSearch
TABLES: tuple[type[Job], ...] = (Simulation, Plan, Run, DesignSearch)
_BY_PREFIX = {table.prefix: table for table in TABLES}


@dataclass(frozen=True)
class Claim:
    """A job that a worker may now execute, as its attempt of that number."""

    job: Job
    attempt: int
    queued_at: datetime
    """Since when it waited for this attempt."""


def table_of(job_id: str) -> type[Job]:
    """The table that a job's id belongs to."""
    return _BY_PREFIX[job_id.partition("_")[0]]


async def lock(session: AsyncSession, job_id: str) -> Job | None:
    """The job's row as it is in the database now, locked until the transaction ends.

    On SQLite the transaction holds the lock on the whole file already.
    """
    table: type[Any] = table_of(job_id)
    return await session.get(table, job_id, populate_existing=True, with_for_update=True)


def record(session: AsyncSession, job: Job) -> None:
    """Write an event that tells the state that the job now has."""
    data: dict[str, Any] = {"id": job.id, "kind": job.kind, "status": str(job.status)}
    if isinstance(job, Run):
        data["simulation_id"] = job.simulation_id
        data["plan_id"] = job.plan_id
    for name in ("progress", "problem"):
        if (value := getattr(job, name)) is not None:
            data[name] = value
    whose = {"owner": job.owner, "shared": job.shared}
    session.add(Event(kind=job.kind, resource_id=job.id, data=data, **whose))


async def claim(
    session: AsyncSession,
    job_id: str,
    worker_id: str,
    max_attempts: int,
    lease_id: str | None = None,
) -> Claim | None:
    """Take up a job, unless it needs no work any more or has taken down `max_attempts` workers."""
    job = await lock(session, job_id)
    if job is None or JobStatus(job.status).is_final:
        return None
    await _close_attempts(session, job_id, AttemptOutcome.LOST)
    attempts = (
        await session.execute(
            select(JobAttempt.number, JobAttempt.outcome, JobAttempt.finished_at).where(
                JobAttempt.job_id == job_id
            )
        )
    ).all()
    lost = sum(outcome == AttemptOutcome.LOST for _, outcome, _ in attempts)
    if lost >= max_attempts:
        await fail(session, job, too_many_attempts(lost))
        return None
    number = max((number for number, _, _ in attempts), default=0) + 1
    queued_at = max((ended for _, _, ended in attempts if ended), default=job.created_at)
    session.add(
        JobAttempt(
            job_id=job_id,
            number=number,
            worker_id=worker_id,
            lease_id=lease_id,
            started_at=database_now(),
        )
    )
    job.status = JobStatus.RUNNING
    job.worker_id = worker_id
    job.started_at = await current_time(session)
    job.progress = None
    job.version += 1
    record(session, job)
    return Claim(job, number, queued_at)


def too_many_attempts(lost: int) -> dict[str, Any]:
    """The problem of a job that keeps killing its workers."""
    return WorkerCrashed(
        f"the worker died {lost} times while doing this; it is not tried again"
    ).problem()


async def fail(session: AsyncSession, job: Job, problem: dict[str, Any]) -> None:
    """Give an unfinished job up."""
    await finish(session, job, JobStatus.FAILED, problem)


async def finish(
    session: AsyncSession, job: Job, status: JobStatus, problem: dict[str, Any] | None = None
) -> None:
    """Set a final state on a row that the caller read in this transaction."""
    job.status = status
    job.problem = problem
    job.progress = None
    job.finished_at = await current_time(session)
    job.version += 1
    if isinstance(job, AnswerColumns) and status is not JobStatus.SUCCEEDED:
        job.reusable_hash = None
    record(session, job)
    await tallies.job_ended(session, job)


async def owned(session: AsyncSession, job_id: str, attempt: int) -> Job | None:
    """The row, if this attempt still is the one that may write to it.

    A worker that was frozen and taken for dead wakes up as an attempt that is over.
    """
    job = await lock(session, job_id)
    if job is None or job.status != JobStatus.RUNNING:
        return None
    current = select(func.max(JobAttempt.number)).where(
        JobAttempt.job_id == job_id, JobAttempt.outcome.is_(None)
    )
    return job if await session.scalar(current) == attempt else None


async def close_attempt(
    session: AsyncSession,
    job_id: str,
    number: int,
    outcome: AttemptOutcome,
    exit: dict[str, Any] | None = None,
) -> None:
    """Record how an attempt ended, if nobody has yet."""
    await _close_attempts(session, job_id, outcome, JobAttempt.number == number, exit=exit)


async def set_progress(
    session: AsyncSession, job_id: str, attempt: int, progress: dict[str, Any]
) -> None:
    """Show how far a running job is."""
    job = await owned(session, job_id, attempt)
    if job is not None:
        job.progress = progress
        job.version += 1
        record(session, job)


async def cancel(session: AsyncSession, job_id: str) -> Job | None:
    """Set a queued or running job cancelled; None if it was neither."""
    job = await lock(session, job_id)
    if job is None or job.status not in UNFINISHED:
        return None
    await finish(session, job, JobStatus.CANCELLED)
    await _close_attempts(session, job_id, AttemptOutcome.CANCELLED)
    return job


async def share(session: AsyncSession, job_id: str, shared: bool) -> Job | None:
    """Let others see a job, or no longer; None where there is none."""
    job = await lock(session, job_id)
    if job is not None and job.shared != shared:
        job.shared = shared
        job.version += 1
        record(session, job)
    return job


async def requeue(session: AsyncSession, worker_id: str, outcome: AttemptOutcome) -> list[str]:
    """Set the running jobs of a worker that is gone back to queued; returns their ids."""
    requeued = []
    tables: tuple[type[Any], ...] = TABLES
    for table in tables:
        running = (
            select(table)
            .where(table.worker_id == worker_id, table.status == JobStatus.RUNNING)
            .with_for_update()
        )
        for job in (await session.scalars(running)).all():
            await hand_back(session, job, outcome)
            requeued.append(job.id)
    return requeued


async def hand_back(session: AsyncSession, job: Job, outcome: AttemptOutcome) -> None:
    """Set a running job, locked by the caller, back to queued."""
    await _close_attempts(session, job.id, outcome)
    job.status = JobStatus.QUEUED
    job.progress = None
    job.version += 1
    record(session, job)


async def _close_attempts(
    session: AsyncSession,
    job_id: str,
    outcome: AttemptOutcome,
    *which: ColumnElement[bool],
    exit: dict[str, Any] | None = None,
) -> None:
    """Those that are open, or which of them."""
    closes = (
        update(JobAttempt)
        .where(JobAttempt.job_id == job_id, JobAttempt.outcome.is_(None), *which)
        .values(outcome=outcome, finished_at=database_now(), exit=exit)
    )
    closed = await row_count(session, closes)
    await tallies.attempts_ended(session, table_of(job_id).kind, outcome, closed)
