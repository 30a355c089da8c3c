"""Executing a job in a worker: claim its row, have the executor do it, save what came out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.devices.measured import measurements
from app.devices.repository import all_profiles, device_profile
from app.engine.design_search import DesignSearchJob
from app.engine.progress import ProgressWriter
from app.engine.results import fill
from app.jobs import artifacts, lifecycle
from app.jobs.comparison import seconds_ratio
from app.jobs.lifecycle import Claim, Job
from app.models import DesignSearch, Plan, Run, Simulation, Worker
from app.models.attempt import AttemptOutcome
from app.plans.planned import planned_simulation
from app.settings import Settings
from app.telemetry import attempts
from app.telemetry.attempts import Attempt
from planner.designs.request import DesignSearchRequest
from planner.devices import DeviceProfile
from planner.errors import HeadroomError
from planner.plans import Plan as FoundPlan
from planner.plans import PlanRequest
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

    async def plan(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        devices: list[dict[str, Any]],
        limits: Limits,
        on_progress: Callable[[dict[str, Any]], None],
    ) -> Outcome:
        """Find a strategy in a child process; cancelling the task kills the child."""
        ...

    async def run(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        baseline: bool,
        baseline_bytes: int | None,
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
            del self.active[job_id]

    async def _work(self, claim: Claim, observed: Attempt) -> None:
        job_id = claim.job.id
        async with ProgressWriter(self._database, job_id, claim.attempt) as progress:
            try:
                outcome = await self._outcome(claim, observed.following(progress.report))
            except HeadroomError as error:
                outcome = Outcome("failed", problem=error.problem())
            except Exception:
                _log.exception("the job failed inside the worker")
                outcome = Outcome(
                    "failed", problem=HeadroomError("see the worker's log for the cause").problem()
                )
        observed.ended(outcome)
        await self._save(claim, outcome)

    async def _outcome(
        self, claim: Claim, on_progress: Callable[[dict[str, Any]], None]
    ) -> Outcome:
        job = claim.job
        if isinstance(job, DesignSearch):
            return await self._search(job, on_progress)
        async with self._database.read() as session:
            request = await _request_of(session, job)
            device = await device_profile(session, job.device)
            unplanned = await _unplanned_peak(session, job)
            devices = await _all_devices(session) if isinstance(job, Plan) else []
            measured = await measurements(session, job.device)
        if device is None:
            raise HeadroomError(f"the device profile {job.device!r} is gone")
        device = measured.applied(device)
        profile, limits = device.model_dump(mode="json"), self._limits(job)
        if isinstance(job, Run):
            return await self._executor.run(
                request,
                profile,
                baseline=job.plan_id is not None,
                baseline_bytes=unplanned,
                limits=limits,
                on_progress=on_progress,
            )
        if isinstance(job, Plan):
            return await self._executor.plan(
                request, profile, devices=devices, limits=limits, on_progress=on_progress
            )
        return await self._executor.simulate(
            request, profile, limits=limits, on_progress=on_progress
        )

    async def _search(
        self, job: DesignSearch, on_progress: Callable[[dict[str, Any]], None]
    ) -> Outcome:
        """Search designs, each simulated in a child of its own."""

        async def simulate(request: dict[str, Any], device: dict[str, Any]) -> Outcome:
            limits = self._limits(job)
            return await self._executor.simulate(
                request, device, limits=limits, on_progress=lambda phase: None
            )

        request = DesignSearchRequest.model_validate(job.request)
        return await DesignSearchJob(self._database, request, simulate, on_progress).outcome()

    def _limits(self, job: Job) -> Limits:
        settings = self._settings
        if isinstance(job, Run):
            return Limits(settings.run_timeout_s, settings.run_memory_bytes)
        is_plan = isinstance(job, Plan)
        seconds = settings.plan_timeout_s if is_plan else settings.simulation_timeout_s
        return Limits(seconds, settings.simulation_memory_bytes)

    async def _save(self, claim: Claim, outcome: Outcome) -> None:
        files = await artifacts.compress(outcome.artifacts)
        exit_ = asdict(outcome.exit) if is_dataclass(outcome.exit) else None
        async with self._database.write() as session:
            job = await lifecycle.owned(session, claim.job.id, claim.attempt)
            if job is None:
                _log.warning("the job is no longer ours; its outcome is dropped")
                return
            status = fill(job, outcome)
            if isinstance(job, Run):
                worker = await session.get(Worker, self._worker_id)
                job.worker = None if worker is None else _describe(worker)
                profile = await device_profile(session, job.device)
                if worker is not None and job.measured and _is_of_profile(worker, profile):
                    job.seconds_ratio = seconds_ratio(job.predicted, job.measured)
            await artifacts.save(session, job.id, files)
            await lifecycle.finish(session, job, status, outcome.problem)
            await lifecycle.close_attempt(
                session, job.id, claim.attempt, AttemptOutcome.FINISHED, exit_
            )


async def _request_of(session: AsyncSession, job: Job) -> dict[str, Any]:
    """What is to be executed: of a run, the request of what it is a run of."""
    if not isinstance(job, Run):
        return job.request
    if job.plan_id is None:
        return (await session.get_one(Simulation, job.simulation_id)).request
    plan = await session.get_one(Plan, job.plan_id)
    request = PlanRequest.model_validate(plan.request)
    planned = planned_simulation(request, FoundPlan.model_validate(plan.plan))
    return planned.model_dump(mode="json")


async def _unplanned_peak(session: AsyncSession, job: Job) -> int | None:
    """Of the run of a plan: what its step was predicted to take without the plan."""
    if not isinstance(job, Run) or job.plan_id is None:
        return None
    plan = await session.get_one(Plan, job.plan_id)
    return FoundPlan.model_validate(plan.plan).baseline.peak_bytes


async def _all_devices(session: AsyncSession) -> list[dict[str, Any]]:
    measured = await measurements(session)
    profiles = (await all_profiles(session)).values()
    return [measured.applied(profile).model_dump(mode="json") for profile in profiles]


def _is_of_profile(worker: Worker, profile: DeviceProfile | None) -> bool:
    """Whether what the worker measures is of that device: a CPU's profile stands for any CPU, but
    an accelerator's, whose memories are told apart, stands for no CPU.
    """
    if profile is None:
        return False
    is_any_cpu = worker.labels.get("device") == "cpu" and not profile.tiers
    return is_any_cpu or worker.labels.get("profile") == profile.name


def _describe(worker: Worker) -> dict[str, Any]:
    return {
        "id": worker.id,
        "labels": worker.labels,
        "hostname": worker.hostname,
        "device": worker.device,
    }
