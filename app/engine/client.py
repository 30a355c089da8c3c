"""The API's side of the engine: put jobs on queues, cancel them, look after them.

A job is a row of ours (`simulation`, `plan`, `run`), which is the truth for clients, and a workflow
of the engine with the same id, which is the motor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions
from sqlalchemy import Select, column, select, table
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from app.engine.queues import SIMULATIONS

#: Both pinned on either side: the engine's default version is a hash of the workflows' source,
#: and a job enqueued under one version is never taken by a worker of another.
APPLICATION_NAME = "headroom"
APPLICATION_VERSION = "1"
WORKFLOW = "execute-job"
#: Seconds that PostgreSQL lets any session of this service idle within a transaction: one that is
#: frozen or cut off holds its locks for no longer.
IDLE_TRANSACTION_S = 10.0

logging.getLogger("dbos").setLevel(logging.WARNING)


def migrate(url: URL) -> None:
    """Create or migrate the engine's own tables."""
    DBOS.migrate(engine_url(url))


def engine_url(url: URL) -> str:
    """The URL as the engine wants it: without a driver."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False)


class EngineClient:
    """Enqueues and cancels; executes nothing and starts no threads."""

    def __init__(self, url: URL) -> None:
        self._client = DBOSClient(
            system_database_url=engine_url(url),
            application_name=APPLICATION_NAME,
            # Pickle, the default, would let whoever can write to the database run code here.
            serializer=DBOSPortableJSONSerializer(),
            lazy=True,
            retry_connection_errors=False,
            sys_db_idle_transaction_timeout_sec=IDLE_TRANSACTION_S,
        )

    @property
    def client(self) -> DBOSClient:
        """The engine's own client, for the other adapters of this package."""
        return self._client

    async def enqueue(
        self, session: AsyncSession, job_id: str, queue: str, priority: int = 1
    ) -> None:
        """Put the job on the queue within the session's transaction: both happen, or neither.

        The least priority is taken first, of equals the oldest; a job that is requeued keeps it.
        """
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": queue,
            "workflow_id": job_id,
            "app_version": APPLICATION_VERSION,
            "priority": priority,
        }

        def enqueue(sync_session: Session) -> None:
            self._client.enqueue_in_transaction(sync_session, options, job_id)

        await session.run_sync(enqueue)

    async def cancel(self, job_id: str) -> None:
        """Take the job off its queue, or have its worker kill it within about a second."""
        await self._client.cancel_workflow_async(job_id)

    async def delete(self, job_id: str) -> None:
        """Forget a finished job."""
        await self._client.delete_workflow_async(job_id)

    async def ended(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Those of the jobs that the engine will never run again, with its word for why."""
        if not job_ids:
            return {}
        found = await self._client.list_workflows_async(
            workflow_ids=list(job_ids), load_input=False, load_output=False
        )
        known = {workflow.workflow_id: workflow.status for workflow in found}
        alive = ("ENQUEUED", "DELAYED", "PENDING")
        return {
            job_id: known.get(job_id, "MISSING")
            for job_id in job_ids
            if known.get(job_id, "MISSING") not in alive
        }

    async def is_with(self, session: AsyncSession, job_id: str, worker_id: str) -> bool:
        """Whether the engine counts the job as under way at this worker, as the session's
        transaction sees it.

        A worker that was frozen between taking a job off its queue and beginning it finds here
        that the job has gone to another.
        """
        found: Select[Any] = (
            select(column("executor_id"))
            .select_from(table("workflow_status", schema=self._client._sys_db.schema))
            .where(column("workflow_uuid") == job_id, column("status") == "PENDING")
        )
        return bool(await session.scalar(found) == worker_id)

    async def under_way(self) -> dict[str, set[str]]:
        """Jobs that the engine counts as under way, by the worker that took them."""
        found = await self._client.list_workflows_async(
            status="PENDING", load_input=False, load_output=False
        )
        jobs: dict[str, set[str]] = {}
        for workflow in found:
            if workflow.executor_id is not None:
                jobs.setdefault(workflow.executor_id, set()).add(workflow.workflow_id)
        return jobs

    async def requeue(self, job_id: str, worker_id: str) -> bool:
        """Put a job back on its queue, if it still is with that worker; tells whether it was."""
        return await asyncio.to_thread(
            self._client._sys_db.reenqueue_for_recovery, job_id, [worker_id], SIMULATIONS
        )

    async def requeue_jobs_of(self, worker_id: str) -> int:
        """Put the jobs that a worker left back on the queues they came from; returns how many.

        Conditional on the worker still owning them, so that it may run twice or beside another. The
        public way, `resume_workflow`, is not: hence the engine's private one (a test guards it).
        """
        return await asyncio.to_thread(self._requeue_jobs_of, worker_id)

    def _requeue_jobs_of(self, worker_id: str) -> int:
        system = self._client._sys_db
        pending = system.get_pending_workflows(worker_id, APPLICATION_VERSION)
        return sum(
            system.reenqueue_for_recovery(job.workflow_id, [worker_id], SIMULATIONS)
            for job in pending
        )

    async def check(self) -> None:
        """Raise unless the engine's tables can be reached."""
        await self._client.check_connection_async()

    async def close(self) -> None:
        """Close the client's connections."""
        await asyncio.to_thread(self._client.destroy)
