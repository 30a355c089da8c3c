"""Finding workers that died and jobs that nobody will finish. Every worker runs one."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from app.database import Database, row_count
from app.engine.client import EngineClient
from app.jobs import lifecycle
from app.kit.clock import current_time
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
    """Requeues the jobs of dead workers, fails what the engine gave up, deletes what is old.

    All ages are those of the database's clock.
    """

    def __init__(
        self,
        database: Database,
        engine: EngineClient,
        settings: Settings,
        *,
        worker_id: str | None = None,
        active: Container[str] = (),
    ) -> None:
        """Prepare.

        Args:
            worker_id: of the worker that this process is, if it is one.
            active: what that worker is doing now.
        """
        self._database = database
        self._engine = engine
        self._stale = timedelta(seconds=settings.worker_stale_s)
        self._events_kept = timedelta(days=settings.event_retention_days)
        self._worker_id = worker_id
        self._active = active
        self._idle_before: set[str] = set()
        self._looked_at: datetime | None = None
        self._watching_since: datetime | None = None

    async def sweep(self) -> None:
        """One round."""
        for worker_id in await self._silent_workers():
            await self._bury(worker_id)
        await self._requeue_left_behind()
        await self._fail_orphans()
        await self._forget()

    async def _silent_workers(self) -> list[str]:
        async with self._database.read() as session:
            now = await current_time(session)
            if not self._has_watched(now):
                return []
            silent = select(Worker.id).where(
                Worker.state.in_(ATTACHED),
                Worker.last_seen_at < now - self._stale,
                Worker.id != (self._worker_id or ""),  # whose sweep this is
            )
            return list((await session.scalars(silent)).all())

    def _has_watched(self, now: datetime) -> bool:
        """Whether this process has looked for long enough to tell who is silent: when the database
        has been away, or this process has been frozen, everyone else seems to have been silent too.
        """
        if self._looked_at is None or now - self._looked_at > self._stale:
            self._watching_since = now
        self._looked_at = now
        return self._watching_since is not None and now - self._watching_since >= self._stale

    async def _bury(self, worker_id: str) -> None:
        async with self._database.write() as session:
            dies = (
                update(Worker)
                .where(Worker.id == worker_id, Worker.state.in_(ATTACHED))
                .where(Worker.last_seen_at < await current_time(session) - self._stale)
                .values(state=WorkerState.LOST, jobs=[])
            )
            if not await row_count(session, dies):
                return  # another reaper was first, or the worker is back
            requeued = await lifecycle.requeue(session, worker_id, AttemptOutcome.LOST)
            data = {"id": worker_id, "kind": "worker", "state": WorkerState.LOST}
            session.add(Event(kind="worker", resource_id=worker_id, data=data))
        # Should this process die right here, the rows stay queued and their workflows pending:
        # the worker's next life, or any later sweep, requeues them.
        await self._engine.requeue_jobs_of(worker_id)
        fields = {"lost_worker_id": worker_id, "requeued_job_ids": requeued}
        _log.warning("worker %s is lost; requeued %s", worker_id, requeued, extra=fields)

    async def _requeue_left_behind(self) -> None:
        """Put back on their queues jobs that the engine counts as under way where nobody does them.

        Those of a worker that was buried by a reaper which died half-way, and those that this
        worker took off a queue without learning of it, since the database went away that moment.
        """
        under_way = await self._engine.under_way()
        left = {worker_id: under_way[worker_id] for worker_id in await self._gone(under_way)}
        if self._worker_id is not None:
            idle = {job for job in under_way.get(self._worker_id, ()) if job not in self._active}
            # One that was idle a sweep ago too is not merely between its queue and its beginning.
            left[self._worker_id] = idle & self._idle_before
            self._idle_before = idle
        for worker_id, job_ids in left.items():
            for job_id in job_ids:
                if await self._engine.requeue(job_id, worker_id):
                    _log.warning("job %s was left behind by %s; requeued", job_id, worker_id)

    async def _gone(self, worker_ids: Iterable[str]) -> Sequence[str]:
        async with self._database.read() as session:
            gone = select(Worker.id).where(
                Worker.id.in_(worker_ids),
                Worker.state.not_in(ATTACHED),
                Worker.last_seen_at < await current_time(session) - self._stale,
            )
            return (await session.scalars(gone)).all()

    async def _fail_orphans(self) -> None:
        """Jobs unfinished here that the engine will never run: give them a final state."""
        async with self._database.read() as session:
            unfinished: list[str] = []
            before = await current_time(session) - _ORPHAN_AGE
            for table in lifecycle.TABLES:
                old = table.created_at < before
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
        async with self._database.write() as session:
            now = await current_time(session)
            kept = now - self._events_kept
            await session.execute(delete(Event).where(Event.created_at < kept))
            await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < kept))
            gone = Worker.state.not_in(ATTACHED) & (
                Worker.last_seen_at < now - _FORGET_WORKERS_AFTER
            )
            await session.execute(delete(Worker).where(gone))
