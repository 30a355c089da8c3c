"""Executing jobs in a worker that has the database: claim the row, do the job, save the outcome."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from app.database import Database
from app.engine import dispatch
from app.engine.assignment import (
    AssignmentKind,
    ExecutorLike,
    OnProgress,
    carry_out,
    limits_for,
    outcome_of_error,
)
from app.engine.client import EngineClient
from app.engine.design_search import DesignSearchJob
from app.engine.outage import outlasting
from app.engine.progress import ProgressWriter
from app.jobs import artifacts, lifecycle
from app.jobs.lifecycle import Claim, Job
from app.models import DesignSearch
from app.settings import Settings
from app.telemetry import attempts
from app.telemetry.attempts import Attempt
from planner.designs.request import DesignSearchRequest
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)
_save = outlasting(dispatch.save_outcome)


class JobExecution:
    """Executes jobs for one worker, all in one event loop."""

    def __init__(
        self,
        database: Database,
        engine: EngineClient,
        executor: ExecutorLike,
        settings: Settings,
        worker_id: str,
    ) -> None:
        self._database = database
        self._engine = engine
        self._executor = executor
        self._settings = settings
        self._worker_id = worker_id
        self.active: dict[str, asyncio.Task[None]] = {}

    async def execute(self, job_id: str) -> None:
        """Do the job to its end. Raises nothing for what the job itself does wrong."""
        task = asyncio.current_task()
        assert task is not None
        self.active[job_id] = task
        try:
            if (claim := await self._claim(job_id)) is not None:
                with attempts.observed(
                    claim.job.kind,
                    job_id,
                    claim.attempt,
                    worker_id=self._worker_id,
                    traceparent=claim.job.traceparent,
                    queued_at=claim.queued_at,
                ) as observed:
                    await self._work(claim, observed)
        finally:
            # Taken for dead meanwhile, this worker may have taken the same job up again.
            if self.active.get(job_id) is task:
                del self.active[job_id]

    @outlasting
    async def _claim(self, job_id: str) -> Claim | None:
        async with self._database.write() as session:
            await lifecycle.lock(session, job_id)
            if not await self._engine.is_with(session, job_id, self._worker_id):
                _log.warning("job %s went to another worker before it was begun here", job_id)
                return None
            return await lifecycle.claim(
                session, job_id, self._worker_id, self._settings.max_attempts
            )

    async def _work(self, claim: Claim, observed: Attempt) -> None:
        job_id = claim.job.id
        async with ProgressWriter(self._database, job_id, claim.attempt) as progress:
            try:
                outcome = await self._outcome(claim.job, observed.following(progress.report))
            except Exception as error:
                outcome = outcome_of_error(job_id, error)
        observed.ended(outcome)
        files = await artifacts.compress(outcome.artifacts)
        await _save(self._database, job_id, claim.attempt, outcome, files)

    @outlasting
    async def _outcome(self, job: Job, on_progress: OnProgress) -> Outcome:
        if isinstance(job, DesignSearch):
            return await self._search(job, on_progress)
        async with self._database.read() as session:
            assignment = await dispatch.assignment_of(session, job, self._settings)
        return await carry_out(assignment, self._executor, on_progress)

    async def _search(self, job: DesignSearch, on_progress: OnProgress) -> Outcome:
        """Search designs, each simulated in a child of its own."""

        async def simulate(request: dict[str, Any], device: dict[str, Any]) -> Outcome:
            limits = limits_for(AssignmentKind.SIMULATION, self._settings)
            return await self._executor.simulate(
                request, device, limits=limits, on_progress=lambda phase: None
            )

        request = DesignSearchRequest.model_validate(job.request)
        search = DesignSearchJob(
            self._database,
            request,
            simulate,
            on_progress,
            owner=job.owner,
            shared=job.shared,
        )
        return await search.outcome()
