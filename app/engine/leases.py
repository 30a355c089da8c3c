"""The engine's part of a worker that cannot reach the engine: whoever serves its calls acts for it.

Such a worker is an executor of the engine all the same. What it takes is pending under its id, like
what a worker with the engine in it takes, so priorities, limits of concurrency, cancelling and
recovery by `EngineClient.requeue_jobs_of` are the same for both. The name of a lease, which its
worker chose, is the token of ownership that the engine itself fences executions with.

The engine offers this to no client: all that is private to it is used in this file, and tests of
the contract guard it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from dbos import DBOSPortableJSONSerializer

from app.engine.client import APPLICATION_VERSION, EngineClient

_NOTHING = DBOSPortableJSONSerializer().serialize(None)


@dataclass(frozen=True)
class Held:
    """A job that the engine takes to be in the hands of a worker."""

    job_id: str
    worker_id: str
    queue: str
    token: str | None
    """Of a lease its name; of an execution by the engine itself, the engine's own."""
    since: datetime


class Leases:
    """Takes jobs off queues in the name of workers, and tells the engine how they ended."""

    def __init__(self, engine: EngineClient) -> None:
        self._client = engine.client
        self._system = engine.client._sys_db
        self._jobs = self._system.tables.workflow_status

    async def register(self, queues: Sequence[str], at_once: dict[str, int], poll_s: float) -> None:
        """Make queues known to the engine, with how many of their jobs one worker does at once."""
        for queue in queues:
            await self._client.register_queue_async(
                queue, worker_concurrency=at_once.get(queue, 1), polling_interval_sec=poll_s
            )

    async def take(self, worker_id: str, queue: str, lease_id: str) -> str | None:
        """The queue's next job for a worker, as that lease; None where there is none for it."""
        return await asyncio.to_thread(self._take, worker_id, queue, lease_id)

    def _take(self, worker_id: str, queue: str, lease_id: str) -> str | None:
        found = self._system.get_queue(queue) if self._waits(queue) else None
        if found is None:
            return None
        at_once = found._worker_concurrency or 1
        if sum(each.queue == queue for each in self._held([worker_id])) >= at_once:
            return None
        # As one that has room for one more: the engine would fill all of it at once.
        found._worker_concurrency = 1
        taken, _ = self._system.start_queued_workflows(
            found, worker_id, APPLICATION_VERSION, None, owner_xid=lease_id
        )
        return taken[0] if taken else None

    async def taken(self, worker_id: str, lease_id: str) -> str | None:
        """The job that a worker has as that lease, where whoever took it said nothing of it."""
        held = await self.held_by([worker_id])
        return next((each.job_id for each in held if each.token == lease_id), None)

    def _waits(self, queue: str) -> bool:
        """Whether anything does; taking locks, and on SQLite the whole file, so ask before."""
        waiting = sa.exists().where(
            self._jobs.c.queue_name == queue, self._jobs.c.status == sa.text("'ENQUEUED'")
        )
        with self._system.engine.connect() as connection:
            return bool(connection.scalar(sa.select(waiting)))

    async def finish(self, job_id: str, lease_id: str) -> bool:
        """Tell that the job is done; False where it is not the lease's any more."""
        return await asyncio.to_thread(
            self._system.update_workflow_outcome,
            job_id,
            "SUCCESS",
            output=_NOTHING,
            owner_xid=lease_id,
        )

    async def give_back(self, job_id: str, lease_id: str) -> bool:
        """Put a job back on its queue, unless it is not the lease's any more.

        What the engine does to recover is conditional on the worker only, which may have the job
        under another lease by now.
        """
        return await asyncio.to_thread(self._give_back, job_id, lease_id)

    def _give_back(self, job_id: str, lease_id: str) -> bool:
        ours = (
            sa.update(self._jobs)
            .where(self._jobs.c.workflow_uuid == job_id, self._jobs.c.owner_xid == lease_id)
            .where(self._jobs.c.status == sa.text("'PENDING'"))
            .values(status="ENQUEUED", owner_xid=None, started_at_epoch_ms=None)
        )
        with self._system.engine.begin() as connection:
            return connection.execute(ours).rowcount > 0

    async def held_by(self, worker_ids: Collection[str]) -> list[Held]:
        """What these workers have in hand, as the engine sees it."""
        return await asyncio.to_thread(self._held, worker_ids)

    def _held(self, worker_ids: Collection[str]) -> list[Held]:
        jobs = self._jobs.c
        pending = sa.select(
            jobs.workflow_uuid,
            jobs.executor_id,
            jobs.queue_name,
            jobs.owner_xid,
            jobs.started_at_epoch_ms,
        ).where(jobs.status == sa.text("'PENDING'"), jobs.executor_id.in_(list(worker_ids)))
        with self._system.engine.connect() as connection:
            rows = connection.execute(pending).all()
        return [
            Held(job_id, worker_id, queue, token, datetime.fromtimestamp((since or 0) / 1000, UTC))
            for job_id, worker_id, queue, token, since in rows
        ]
