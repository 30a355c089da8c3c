"""Executing a job in a worker: claim its row, have the executor do it, save what came out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, Protocol

from app.database import Database
from app.devices.repository import device_profile
from app.engine.progress import ProgressWriter
from app.jobs import artifacts, comparison, lifecycle
from app.jobs.lifecycle import Claim
from app.models import JobStatus, Run, Simulation, Worker
from app.models.attempt import AttemptOutcome
from app.settings import Settings
from planner.errors import HeadroomError
from planner.prediction import Prediction
from profiler.limits import Limits
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)


class ExecutorLike(Protocol):
    """What a worker needs of `profiler.executor.Executor`."""

    async def simulate(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        limits: Limits,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> Outcome:
        """Trace and simulate in a child process; cancelling the task kills the child."""
        ...

    async def run(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        limits: Limits,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> Outcome:
        """Execute on real tensors in a child process; cancelling the task kills the child."""
        ...


class JobExecution:
    """Executes jobs for one worker, all in one event loop."""

    def __init__(
        self, database: Database, executor: ExecutorLike, settings: Settings, worker_id: str
    ) -> None:
        self._database = database
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
            async with self._database.write() as session:
                claim = await lifecycle.claim(
                    session, job_id, self._worker_id, self._settings.max_attempts
                )
            if claim is not None:
                await self._work(claim)
        finally:
            del self.active[job_id]

    async def _work(self, claim: Claim) -> None:
        job_id = claim.job.id
        async with ProgressWriter(self._database, job_id, claim.attempt) as progress:
            try:
                outcome = await self._outcome(claim, progress.report)
            except HeadroomError as error:
                outcome = Outcome("failed", problem=error.problem())
            except Exception:
                _log.exception("job %s failed inside the worker", job_id)
                outcome = Outcome(
                    "failed", problem=HeadroomError("see the worker's log for the cause").problem()
                )
        await self._save(claim, outcome)

    async def _outcome(
        self, claim: Claim, on_progress: Callable[[dict[str, Any]], None]
    ) -> Outcome:
        job, settings = claim.job, self._settings
        async with self._database.read() as session:
            if isinstance(job, Run):
                simulation = await session.get_one(Simulation, job.simulation_id)
                request = simulation.request
            else:
                request = job.request
            device = await device_profile(session, job.device)
        if device is None:
            raise HeadroomError(f"the device profile {job.device!r} is gone")
        profile = device.model_dump(mode="json")
        if isinstance(job, Run):
            limits = Limits(
                wall_seconds=settings.run_timeout_s, memory_bytes=settings.run_memory_bytes
            )
            return await self._executor.run(
                request, profile, limits=limits, on_progress=on_progress
            )
        limits = Limits(
            wall_seconds=settings.simulation_timeout_s,
            memory_bytes=settings.simulation_memory_bytes,
        )
        return await self._executor.simulate(
            request, profile, limits=limits, on_progress=on_progress
        )

    async def _save(self, claim: Claim, outcome: Outcome) -> None:
        files = await artifacts.compress(outcome.artifacts)
        exit_ = asdict(outcome.exit) if is_dataclass(outcome.exit) else None
        async with self._database.write() as session:
            job = await lifecycle.owned(session, claim.job.id, claim.attempt)
            if job is None:
                _log.warning("job %s is no longer ours; its outcome is dropped", claim.job.id)
                return
            status = JobStatus(outcome.status)
            if isinstance(job, Run):
                _fill_run(job, outcome)
                worker = await session.get(Worker, self._worker_id)
                job.worker = None if worker is None else _describe(worker)
            else:
                if status is JobStatus.OUT_OF_MEMORY:
                    status = JobStatus.FAILED
                _fill_simulation(job, outcome)
            await artifacts.save(session, job.id, files)
            lifecycle.finish(session, job, status, outcome.problem)
            await lifecycle.close_attempt(
                session, job.id, claim.attempt, AttemptOutcome.FINISHED, exit_
            )


def _fill_simulation(simulation: Simulation, outcome: Outcome) -> None:
    if outcome.result is None:
        return
    prediction = Prediction.model_validate(outcome.result["prediction"])
    simulation.prediction = prediction.model_dump(mode="json")
    simulation.peak_bytes = prediction.peak_bytes
    simulation.versions = outcome.result.get("versions") or simulation.versions


def _fill_run(run: Run, outcome: Outcome) -> None:
    if outcome.result is None:
        return
    measured = outcome.result.get("measured")
    run.environment = outcome.result.get("environment")
    run.measured = measured
    if measured is not None:
        run.relative_error = comparison.relative_error(
            run.predicted["peak_bytes"], measured["peak_bytes"]
        )
        run.phases = comparison.compare_phases(run.predicted, measured)


def _describe(worker: Worker) -> dict[str, Any]:
    return {
        "id": worker.id,
        "labels": worker.labels,
        "hostname": worker.hostname,
        "device": worker.device,
    }
