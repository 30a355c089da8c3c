"""Chores that a worker with the database does for all, done on behalf of those without."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from sqlalchemy import select

from app.database import Database
from app.engine.client import EngineClient
from app.engine.leases import Held, Leases
from app.engine.reaper import Reaper
from app.jobs import lifecycle
from app.kit.clock import current_time
from app.models import JobAttempt, JobStatus, Worker
from app.models.attempt import AttemptOutcome
from app.settings import Settings

_log = logging.getLogger(__name__)
_STRAY_AFTER = timedelta(seconds=30)


class Upkeep:
    """Sweeps for dead workers, and settles what a process that died left between engine and rows.

    Any number of processes may do it at the same time.
    """

    def __init__(
        self, database: Database, engine: EngineClient, leases: Leases, settings: Settings
    ) -> None:
        self._database = database
        self._leases = leases
        self._interval_s = settings.worker_stale_s / 3
        self._reaper = Reaper(database, engine, settings)
        self._due = time.monotonic()

    async def if_due(self) -> None:
        """One round, unless this process made one just now. To be called with every heartbeat."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._interval_s
        try:
            await self._reaper.sweep()
            await self._settle()
        except Exception:
            _log.exception("sweep for dead workers failed")

    async def _settle(self) -> None:
        """Jobs that the engine thinks are leased, and that nobody works on."""
        async with self._database.read() as session:
            remote = select(Worker).where(Worker.session_id.is_not(None))
            workers = {worker.id: worker for worker in (await session.scalars(remote)).all()}
            now = await current_time(session)
        for held in await self._leases.held_by(workers):
            if held.token is not None and held.since < now - _STRAY_AFTER:
                await self._settle_one(workers[held.worker_id], held, held.token)

    async def _settle_one(self, worker: Worker, held: Held, token: str) -> None:
        async with self._database.write() as session:
            job = await lifecycle.lock(session, held.job_id)
            attempt = await session.scalar(select(JobAttempt).where(JobAttempt.lease_id == token))
            if attempt is not None and await lifecycle.owned(session, held.job_id, attempt.number):
                # A worker that has said since what it works on, and has not named this, forgot it.
                is_known = held.job_id in worker.jobs
                if job is None or is_known or worker.last_seen_at < held.since + _STRAY_AFTER:
                    return
                await lifecycle.hand_back(session, job, AttemptOutcome.INTERRUPTED)
            is_over = job is None or JobStatus(job.status).is_final
        if is_over:
            await self._leases.finish(held.job_id, token)
        elif await self._leases.give_back(held.job_id, token):
            _log.warning("nobody worked on job %s; it is queued again", held.job_id)
