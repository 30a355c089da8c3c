"""What can be done with any job: read, cancel, delete, and compute from its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, bindparam, delete, func, or_, select
from structlog.contextvars import bind_contextvars

from app.context import Context
from app.database import Database
from app.engine.client import EngineClient
from app.errors import Conflict, NotFound
from app.jobs import artifacts, idempotency, lifecycle
from app.jobs.lifecycle import Job
from app.kit.ids import is_id
from app.models import Event, JobAttempt, JobStatus, Run, SweepPoint

Table = TypeVar("Table", bound=Job)
Result = TypeVar("Result")


class JobState(NamedTuple):
    """A job without what was asked and answered, which can be megabytes."""

    id: str
    version: int
    status: str
    owner: str | None
    shared: bool


async def state(context: Context, table: type[Table], job_id: str) -> JobState:
    """The state of the job with that id.

    Raises:
        NotFound: there is none, or none that the caller sees.
    """
    found: JobState | None = None
    if is_id(job_id, table.prefix):
        bind_contextvars(job_id=job_id)
        found = await find_state(context.database, table, job_id)
    if found is None or not context.caller.may_see(found):
        raise NotFound(f"there is no {table.kind} {job_id[:60]!r}")
    return found


async def find_state(database: Database, table: type[Any], job_id: str) -> JobState | None:
    """The same, for whoever may see it all."""
    row = await database.row(_STATES[table], job_id=job_id)
    return None if row is None else JobState._make(row)


def _select_state(table: type[Any]) -> Select[Any]:
    columns = [getattr(table, name) for name in JobState._fields]
    return select(*columns).where(table.id == bindparam("job_id"))


_STATES = {table: _select_state(table) for table in lifecycle.TABLES}
"""Made once: making a statement takes longer than asking it."""


async def read(context: Context, table: type[Table], job_id: str) -> Table:
    """The job with that id.

    Raises:
        NotFound: there is none, or none that the caller sees.
    """
    job: Table | None = None
    if is_id(job_id, table.prefix):
        bind_contextvars(job_id=job_id)
        async with context.database.read() as session:
            job = await session.get(table, job_id)
    if job is None or not context.caller.may_see(job):
        raise NotFound(f"there is no {table.kind} {job_id[:60]!r}")
    return job


async def read_own(context: Context, table: type[Table], job_id: str) -> Table:
    """The job with that id, for changing it.

    Raises:
        NotFound: there is none, or none that the caller sees.
        Forbidden: it is another's.
    """
    job = await read(context, table, job_id)
    context.caller.require_own(job, job_id)
    return job


async def share(context: Context, table: type[Table], job_id: str, shared: bool) -> Table:
    """Let others see a job, or no longer.

    Raises:
        NotFound: there is no such job.
        Forbidden: it is another's.
    """
    await read_own(context, table, job_id)
    async with context.database.write() as session:
        job = await lifecycle.share(session, job_id, shared)
    if job is None:  # deleted meanwhile
        raise NotFound(f"there is no {table.kind} {job_id!r}")
    assert isinstance(job, table)
    return job


async def cancel_or_delete(context: Context, table: type[Table], job_id: str) -> Table | None:
    """Cancel an unfinished job and return it; delete a finished one and return None.

    Raises:
        NotFound: there is no such job.
        Forbidden: it is another's.
        Conflict: a simulation or a plan still has runs, or belongs to a sweep.
    """
    await read_own(context, table, job_id)
    async with context.database.write() as session:
        cancelled = await lifecycle.cancel(session, job_id)
    await context.engine.cancel(job_id)
    if cancelled is not None:
        assert isinstance(cancelled, table)
        return cancelled
    await delete_finished(context.database, context.engine, table, job_id)
    return None


async def delete_finished(
    database: Database, engine: EngineClient, table: type[Any], job_id: str
) -> None:
    """Delete a finished job with everything that it left.

    Raises:
        Conflict: a simulation or a plan still has runs, or belongs to a sweep.
    """
    async with database.write() as session:
        job = await lifecycle.lock(session, job_id)  # a run of it may be on its way
        if job is None:
            return  # deleted meanwhile
        refer = or_(Run.simulation_id == job_id, Run.plan_id == job_id)
        runs = select(func.count()).select_from(Run).where(refer)
        if count := await session.scalar(runs):
            raise Conflict(f"{count} runs refer to {job_id}; delete them first")
        sweeps = select(func.count()).where(SweepPoint.simulation_id == job_id)
        if count := await session.scalar(sweeps):
            raise Conflict(f"{count} sweeps refer to {job_id}; delete them first")
        await session.execute(delete(table).where(table.id == job_id))
        await session.execute(delete(JobAttempt).where(JobAttempt.job_id == job_id))
        await artifacts.discard(session, job_id)
        await idempotency.forget(session, job_id)
        data = {"id": job_id, "kind": table.kind, "status": "deleted"}
        whose = {"owner": job.owner, "shared": job.shared}
        session.add(Event(kind=table.kind, resource_id=job_id, data=data, **whose))
    await engine.delete(job_id)


async def compute(
    context: Context, job: Job | JobState, file: str, work: Callable[[bytes], Result]
) -> Result:
    """Compute something from a file of a finished job, in a thread; bounded in number.

    Raises:
        Conflict: the job has not left this file, or has not ended yet.
    """
    async with context.database.read() as session:
        data = await artifacts.load(session, job.id, file)
    if data is None:
        if not JobStatus(job.status).is_final:
            raise Conflict(f"{job.id} is {job.status}; ask again when it has succeeded")
        raise Conflict(f"{job.id} has {job.status} and left no {file}")
    async with context.computing:
        return await asyncio.to_thread(work, data)
