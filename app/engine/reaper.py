"""Finding workers that died and jobs that nobody will finish. Every worker runs one."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import delete, select, update

from app.database import Database, row_count
from app.engine.client import EngineClient
from app.jobs import lifecycle
from app.kit.columns import utc_now
from app.models import Event, IdempotencyKey, Worker, WorkerState
from app.models.attempt import AttemptOutcome
from app.models.base import UNFINISHED
from app.models.worker import ATTACHED
from app.settings import Settings
from planner.errors import WorkerCrashed

_log = logging.getLogger(__name__)
_ORPHAN_AGE = timedelta(seconds=30)
_FORGET_WORKERS_AFTER = timedelta(days=1)


class Reaper:
    """Requeues the jobs of dead workers, fails what the engine gave up, deletes what is old."""

    def __init__(self, database: Database, engine: EngineClient, settings: Settings) -> None:
        self._database = database
        self._engine = engine
        self._settings = settings

    async def sweep(self) -> None:
        """One round."""
        for worker_id in await self._silent_workers():
            await self._bury(worker_id)
        await self._fail_orphans()
        await self._forget()

    async def _silent_workers(self) -> list[str]:
        limit = utc_now() - timedelta(seconds=self._settings.worker_stale_s)
        silent = select(Worker.id).where(Worker.state.in_(ATTACHED), Worker.last_seen_at < limit)
        async with self._database.read() as session:
            return list((await session.scalars(silent)).all())

    async def _bury(self, worker_id: str) -> None:
        limit = utc_now() - timedelta(seconds=self._settings.worker_stale_s)
        dies = (
            update(Worker)
            .where(Worker.id == worker_id, Worker.state.in_(ATTACHED))
            .where(Worker.last_seen_at < limit)
            .values(state=WorkerState.LOST, jobs=[])
        )
        async with self._database.write() as session:
            if not await row_count(session, dies):
                return  # another reaper was first, or the worker is back
            requeued = await lifecycle.requeue(session, worker_id, AttemptOutcome.LOST)
            data = {"id": worker_id, "kind": "worker", "state": WorkerState.LOST}
            session.add(Event(kind="worker", resource_id=worker_id, data=data))
        # Should this process die right here, the rows stay queued and their workflows pending:
        # the worker's next life, or any later reaper that finds it dead, requeues them.
        await self._engine.requeue_jobs_of(worker_id)
        fields = {"lost_worker_id": worker_id, "requeued_job_ids": requeued}
        _log.warning("worker %s is lost; requeued %s", worker_id, requeued, extra=fields)

    async def _fail_orphans(self) -> None:
        """Jobs unfinished here that the engine will never run: give them a final state."""
        async with self._database.read() as session:
            unfinished: list[str] = []
            for table in lifecycle.TABLES:
                old = table.created_at < utc_now() - _ORPHAN_AGE
                ids = select(table.id).where(table.status.in_(UNFINISHED), old).limit(500)
                unfinished += (await session.scalars(ids)).all()
        for job_id, state in (await self._engine.ended(unfinished)).items():
            async with self._database.write() as session:
                job = await lifecycle.lock(session, job_id)
                if job is None or job.status not in UNFINISHED:
                    continue
                detail = f"the engine has given this job up (state {state})"
                await lifecycle.fail(session, job, WorkerCrashed(detail).problem())
                _log.error("job %s: %s", job_id, detail, extra={"job_id": job_id})

    async def _forget(self) -> None:
        now = utc_now()
        kept = now - timedelta(days=self._settings.event_retention_days)
        async with self._database.write() as session:
            await session.execute(delete(Event).where(Event.created_at < kept))
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < kept))
            gone = Worker.state.not_in(ATTACHED) & (
                Worker.last_seen_at < now - _FORGET_WORKERS_AFTER
            )
            await session.execute(delete(Worker).where(gone))
