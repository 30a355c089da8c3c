"""Which workers there are, and which of them takes a run."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.engine.machine import DEFAULT_LABELS
from app.engine.queues import ANSWERING, DESIGN_SEARCHES, matches, run_queue
from app.jobs.lifecycle import Job
from app.kit.clock import current_time
from app.models import JobStatus, Run, Worker, WorkerState
from app.models.base import UNFINISHED
from app.models.worker import ATTACHED, AttachmentKind
from app.settings import Settings
from planner.errors import InvalidRequest

TAKING = (WorkerState.ONLINE, WorkerState.BUSY)
"""States of workers that take jobs, now or next."""


def state_of(worker: Worker, settings: Settings, now: datetime) -> WorkerState:
    """As it is now: one that has been silent too long is lost before the reaper says so.

    Args:
        now: by the database's clock, as the heartbeats are.
    """
    silent = worker.last_seen_at < now - timedelta(seconds=settings.worker_stale_s)
    if worker.state in ATTACHED and silent:
        return WorkerState.LOST
    if worker.state == WorkerState.ONLINE and worker.jobs:
        return WorkerState.BUSY
    return WorkerState(worker.state)


async def all_workers(session: AsyncSession) -> list[Worker]:
    """Every worker known, newest first."""
    newest = select(Worker).order_by(Worker.started_at.desc(), Worker.id).limit(1_000)
    return list((await session.scalars(newest)).all())


async def choose_queue(session: AsyncSession, settings: Settings, wanted: dict[str, str]) -> str:
    """The queue of the workers that match all wanted labels: online ones first, then the idlest.

    A worker that was here before counts, since it may come back. The default labels are always
    possible: a service started without worker gets one later.

    Raises:
        InvalidRequest: no worker known has these labels.
    """
    workers, now = await all_workers(session), await current_time(session)
    able = [worker for worker in workers if matches(worker.labels, wanted)]
    online = [worker for worker in able if state_of(worker, settings, now) in TAKING]
    queues = {worker.run_queue for worker in online or able}
    if not queues:
        if matches(DEFAULT_LABELS, wanted):
            return run_queue(DEFAULT_LABELS)
        raise InvalidRequest.at(
            "/labels",
            f"no worker with {_words(wanted)} is known",
            f"start such a worker, or give the labels of one: {_known(workers)}",
        )
    load = select(Run.queue, func.count()).where(Run.status.in_(UNFINISHED)).group_by(Run.queue)
    waiting: dict[str, int] = {row[0]: row[1] for row in await session.execute(load)}
    return min(sorted(queues), key=lambda queue: waiting.get(queue, 0))


async def waiting_warnings(context: Context, job: Job) -> list[str]:
    """Why a queued job may stay queued."""
    if job.status != JobStatus.QUEUED:
        return []
    async with context.database.read() as session:
        workers, now = await all_workers(session), await current_time(session)
    for worker in workers:
        if _takes(worker, job.queue) and state_of(worker, context.settings, now) in TAKING:
            return []
    return ["no worker that can take it is attached now; it starts when one is"]


def _takes(worker: Worker, queue: str) -> bool:
    if queue == DESIGN_SEARCHES and worker.attachment is AttachmentKind.GATEWAY:
        return False  # a search looks into the database while it works
    return worker.simulates if queue in ANSWERING else worker.run_queue == queue


def _words(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _known(workers: list[Worker]) -> str:
    return "; ".join(sorted({_words(worker.labels) for worker in workers})) or "none has come yet"
