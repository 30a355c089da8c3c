"""Jobs that workers over HTTP take and deliver. A lease is an attempt that its worker named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.engine import dispatch
from app.engine.assignment import AssignmentKind, outcome_of_error
from app.engine.queues import PLANS, SIMULATIONS
from app.errors import Conflict, LeaseOver, NotFound, SessionOver
from app.gateway.results import Files
from app.gateway.schemas import Delivered, Lease, LeaseState
from app.gateway.sessions import WorkerSession, state_of, worker_of
from app.jobs import lifecycle
from app.jobs.lifecycle import Job, table_of
from app.models import JobAttempt, Worker, WorkerState
from planner.errors import HeadroomError, InvalidRequest
from profiler.outcome import Outcome


async def lease(
    context: Context,
    caller: WorkerSession,
    lease_id: str,
    kind: AssignmentKind,
    wait_s: float,
    is_gone: Callable[[], Awaitable[bool]],
) -> Lease | None:
    """A job of the kind for the worker, waiting for one as long as asked; None if none came.

    Called again with the same name while the lease is held, it gives the same job.

    Args:
        is_gone: whether the client has hung up.

    Raises:
        LeaseOver: it was given, and is no longer held.
        SessionOver, Forbidden: as `worker_of` does; also for a worker that drains or is lost.
    """
    deadline = time.monotonic() + wait_s
    found = await _lease(context, caller, lease_id, kind, is_repeated=True)
    while found is None:
        left = deadline - time.monotonic()
        if left <= 0 or context.stopping.is_set() or await is_gone():
            return None
        await asyncio.sleep(min(context.settings.queue_poll_s, left))
        found = await _lease(context, caller, lease_id, kind, is_repeated=False)
    return found


async def _lease(
    context: Context, caller: WorkerSession, lease_id: str, kind: AssignmentKind, is_repeated: bool
) -> Lease | None:
    """The lease, if it is there or can be made now.

    Args:
        is_repeated: whether the same may have been asked before, by a call that broke off.
    """
    async with context.database.read() as session:
        worker = await worker_of(session, caller)
        attempt = await _attempt(session, worker, lease_id)
    if attempt is None:
        if worker.state != WorkerState.ONLINE:
            raise SessionOver(f"the worker is {worker.state}; attach it again to take jobs")
        job_id = await context.leases.taken(worker.id, lease_id) if is_repeated else None
        queue = _queue(worker, kind)
        if job_id is None and queue is not None:
            job_id = await context.leases.take(worker.id, queue, lease_id)
        if job_id is None:
            return None
        attempt = await _claim(context, worker, job_id, lease_id)
        if attempt is None:
            return None
    if (state := state_of(attempt)) is not LeaseState.HELD:
        raise LeaseOver(_words(attempt, state))
    return await _assigned(context, attempt)


def _queue(worker: Worker, kind: AssignmentKind) -> str | None:
    if kind is AssignmentKind.RUN:
        return worker.run_queue
    if not worker.simulates:
        return None
    return PLANS if kind is AssignmentKind.PLAN else SIMULATIONS


async def _claim(context: Context, worker: Worker, job_id: str, lease_id: str) -> JobAttempt | None:
    """The attempt that the lease is from now on; None where the job needs no work."""
    try:
        async with context.database.write() as session:
            claim = await lifecycle.claim(
                session, job_id, worker.id, context.settings.max_attempts, lease_id
            )
            is_wanted = claim is not None
            attempt = await _attempt(session, worker, lease_id)
    except IntegrityError:
        # The same call came twice and the other one was first: with this job, or with another.
        async with context.database.read() as session:
            is_wanted, attempt = True, await _attempt(session, worker, lease_id)
        if attempt is None or attempt.job_id != job_id:
            await context.leases.give_back(job_id, lease_id)
        if attempt is None:
            raise Conflict("another lease has this name; choose one at random") from None
    if not is_wanted:
        await context.leases.finish(job_id, lease_id)
    return attempt


async def _assigned(context: Context, attempt: JobAttempt) -> Lease | None:
    table: type[Any] = table_of(attempt.job_id)
    try:
        async with context.database.read() as session:
            job: Job = await session.get_one(table, attempt.job_id)
            assignment = await dispatch.assignment_of(session, job, context.settings)
    except HeadroomError as error:
        await _save(context, attempt, outcome_of_error(attempt.job_id, error), {})
        return None
    return Lease(
        id=attempt.lease_id,
        job_id=attempt.job_id,
        attempt=attempt.number,
        assignment=assignment,
        queued_at=job.created_at if attempt.number == 1 else attempt.started_at,
        traceparent=job.traceparent,
    )


async def deliverable(context: Context, caller: WorkerSession, lease_id: str) -> JobAttempt:
    """The attempt that a result may be delivered of, or was.

    Raises:
        NotFound: this worker never had such a lease.
        LeaseOver: it is no longer held.
        SessionOver, Forbidden: as `worker_of` does.
    """
    async with context.database.read() as session:
        worker = await worker_of(session, caller)
        attempt = await _attempt(session, worker, lease_id)
    if attempt is None:
        raise NotFound("this worker has no such lease")
    if (state := state_of(attempt)) not in (LeaseState.HELD, LeaseState.DELIVERED):
        raise LeaseOver(_words(attempt, state))
    return attempt


async def deliver(
    context: Context, attempt: JobAttempt, outcome: Outcome, files: Files
) -> Delivered:
    """Store a result, all of it or nothing.

    Raises:
        LeaseOver: meanwhile it is no longer held.
        InvalidRequest: the database cannot hold what is in it.
    """
    try:
        await _save(context, attempt, outcome, files)
    except (DataError, OverflowError) as error:
        reason = str(error).splitlines()[0][:300]
        raise InvalidRequest.at("/outcome/result", f"cannot be stored: {reason}") from error
    return Delivered(job_id=attempt.job_id, attempt=attempt.number)


async def _save(context: Context, attempt: JobAttempt, outcome: Outcome, files: Files) -> None:
    job_id, lease_id = attempt.job_id, str(attempt.lease_id)
    saved = await dispatch.save_outcome(context.database, job_id, attempt.number, outcome, files)
    if not saved:
        async with context.database.read() as session:
            now = await session.get(JobAttempt, attempt.id)
        state = LeaseState.UNKNOWN if now is None else state_of(now)
        if state is not LeaseState.DELIVERED:  # else by the same call, which came twice
            raise LeaseOver(_words(attempt, state))
    await context.leases.finish(job_id, lease_id)


async def _attempt(session: AsyncSession, worker: Worker, lease_id: str) -> JobAttempt | None:
    of_lease = select(JobAttempt).where(
        JobAttempt.lease_id == lease_id, JobAttempt.worker_id == worker.id
    )
    found: JobAttempt | None = await session.scalar(of_lease)
    return found


def _words(attempt: JobAttempt, state: LeaseState) -> str:
    return f"attempt {attempt.number} at {attempt.job_id} is {state}; nothing of it is taken"
