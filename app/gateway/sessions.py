"""Attaching and leaving of workers over HTTP, and their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.engine import attachment as attachments
from app.engine.attachment import Process
from app.engine.machine import Attachment
from app.engine.queues import PLANS, SIMULATIONS, run_queue
from app.errors import Conflict, Forbidden, SessionOver, WorkerIdTaken
from app.gateway.schemas import Attached, LeaseState, WorkerAttach
from app.jobs import lifecycle
from app.kit.clock import current_time
from app.kit.columns import utc_now
from app.models import ApiKey, JobAttempt, Worker, WorkerState
from app.models.attempt import AttemptOutcome
from app.models.worker import ATTACHED
from app.settings import Settings
from planner.versions import versions

_STATES = {
    None: LeaseState.HELD,
    AttemptOutcome.FINISHED: LeaseState.DELIVERED,
    AttemptOutcome.CANCELLED: LeaseState.CANCELLED,
    AttemptOutcome.LOST: LeaseState.LOST,
    AttemptOutcome.INTERRUPTED: LeaseState.LOST,
}


@dataclass(frozen=True)
class WorkerSession:
    """Who calls: a life of a worker, and the key that it shows."""

    session_id: str
    key_id: str | None


async def attach(context: Context, caller: WorkerSession, body: WorkerAttach) -> Attached:
    """Let a worker in. Repeated by the same session it changes nothing but that it is seen.

    Raises:
        Conflict: the session is another worker's.
        WorkerIdTaken: another process with this id lives.
        Forbidden: the id was attached with another key, which is still valid.
    """
    try:
        async with context.database.write() as session:
            is_new = await _enter(session, context.settings, caller, body)
    except IntegrityError:  # another one came at the same moment
        raise WorkerIdTaken("another worker attaches with this id or session now") from None
    if is_new:
        await context.engine.requeue_jobs_of(body.worker_id)
    settings = context.settings
    queues = [run_queue(body.labels), *((SIMULATIONS, PLANS) if body.simulates else ())]
    at_once = {SIMULATIONS: settings.simulations_at_once}
    await context.leases.register(queues, at_once, settings.queue_poll_s)
    ours = versions()
    return Attached(
        heartbeat_s=settings.heartbeat_s,
        wait_s=settings.max_wait_s,
        simulations_at_once=settings.simulations_at_once,
        versions=ours,
        differs_in=[name for name in ours if body.versions.get(name) != ours[name]],
    )


async def _enter(
    session: AsyncSession, settings: Settings, caller: WorkerSession, body: WorkerAttach
) -> bool:
    """Write the worker's row; True for a life that was not known before."""
    used = select(Worker.id).where(Worker.session_id == caller.session_id)
    if (await session.scalar(used)) not in (None, body.worker_id):
        raise Conflict("this session is another worker's; choose a new one at random")
    worker = await session.get(Worker, body.worker_id, with_for_update=True)
    now = await current_time(session)
    if worker is not None:
        await _refuse_others(session, worker, caller)
    if worker is not None and worker.session_id == caller.session_id:
        worker.last_seen_at = now
        if worker.state != WorkerState.DRAINING:
            worker.state = WorkerState.ONLINE
        return False
    if worker is not None:
        _refuse_second(worker, settings, body.replaces, now)
        await lifecycle.requeue(session, worker.id, AttemptOutcome.LOST)
    device = body.device.model_dump(exclude_none=True)
    process = Process(body.hostname, body.pid, body.versions, caller.session_id, caller.key_id)
    attachment = Attachment(body.labels, body.simulates, device)
    await attachments.enter(session, body.worker_id, attachment, process)
    return True


async def _refuse_others(session: AsyncSession, worker: Worker, caller: WorkerSession) -> None:
    """An id belongs to the key that attached it, until that is revoked or has expired."""
    if worker.key_id in (None, caller.key_id):
        return
    key = await session.get(ApiKey, worker.key_id)
    expired = key is None or (key.expires_at is not None and key.expires_at <= utc_now())
    if key is not None and key.revoked_at is None and not expired:
        raise Forbidden(
            f"worker {worker.id!r} is attached with another key; use that, or choose another id"
        )


def _refuse_second(
    worker: Worker, settings: Settings, replaces: UUID | None, now: datetime
) -> None:
    if replaces is not None and worker.session_id == str(replaces):
        return
    silent_s = (now - worker.last_seen_at).total_seconds()
    if worker.state in ATTACHED and silent_s < settings.worker_stale_s:
        raise WorkerIdTaken(
            f"a worker with the id {worker.id!r} was here {silent_s:.1f} s ago; choose another id,"
            f" or wait until it has been silent for {settings.worker_stale_s:g} s",
            retry_after_s=settings.worker_stale_s - silent_s,
        )


async def worker_of(session: AsyncSession, caller: WorkerSession) -> Worker:
    """The worker that calls.

    Raises:
        SessionOver: it is not attached, or has left.
        Forbidden: it is attached with another key.
    """
    worker = await session.scalar(select(Worker).where(Worker.session_id == caller.session_id))
    if worker is None or worker.state == WorkerState.OFFLINE:
        raise SessionOver("this session is not attached; attach it again")
    if worker.key_id != caller.key_id:
        raise Forbidden("this worker is attached with another key")
    return worker


async def heartbeat(
    context: Context, caller: WorkerSession, leases: Mapping[UUID, dict[str, Any] | None]
) -> dict[UUID, LeaseState]:
    """Note that a worker lives and how far its jobs are; what became of each lease.

    Raises:
        SessionOver, Forbidden: as `worker_of` does.
    """
    names = {str(lease): lease for lease in leases}
    async with context.database.read() as session:
        worker = await worker_of(session, caller)
        found = select(JobAttempt).where(
            JobAttempt.worker_id == worker.id, JobAttempt.lease_id.in_(names)
        )
        attempts = (await session.scalars(found)).all()
    states = dict.fromkeys(leases, LeaseState.UNKNOWN)
    held: list[str] = []
    for attempt in attempts:
        lease = names[str(attempt.lease_id)]
        states[lease] = state_of(attempt)
        if states[lease] is LeaseState.HELD:
            held.append(attempt.job_id)
            if (progress := leases[lease]) is not None:
                async with context.database.write() as session:
                    await lifecycle.set_progress(session, attempt.job_id, attempt.number, progress)
    if not await attachments.heartbeat(context.database, worker.id, held):
        raise SessionOver("the worker is forgotten; attach it again")
    return states


def state_of(attempt: JobAttempt) -> LeaseState:
    """What became of the lease that the attempt is."""
    return _STATES[None if attempt.outcome is None else AttemptOutcome(attempt.outcome)]


async def drain(context: Context, caller: WorkerSession) -> None:
    """Give the worker no more leases.

    Raises:
        SessionOver, Forbidden: as `worker_of` does.
    """
    async with context.database.read() as session:
        worker = await worker_of(session, caller)
    if worker.state != WorkerState.DRAINING:
        await attachments.drain(context.database, worker.id)


async def detach(context: Context, caller: WorkerSession) -> None:
    """Let the worker go; what it has in hand goes back to the queues, for others to take at once.

    Raises:
        Forbidden: as `worker_of` does.
    """
    try:
        async with context.database.write() as session:
            worker = await worker_of(session, caller)
            await lifecycle.requeue(session, worker.id, AttemptOutcome.INTERRUPTED)
    except SessionOver:
        return
    await context.engine.requeue_jobs_of(worker.id)
    await attachments.detach(context.database, worker.id)
