"""From a job's row to its assignment, and from its outcome back to the row.

The half of a worker's work that needs the database: a worker that has it does this itself, for one
that attaches over HTTP the API does.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, is_dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.database import Database
from app.devices.measured import measurements
from app.devices.repository import all_profiles, device_profile
from app.engine.assignment import Assignment, AssignmentKind, limits_for
from app.engine.results import fill
from app.jobs import artifacts, lifecycle
from app.jobs.comparison import seconds_ratio
from app.jobs.lifecycle import Job
from app.models import Plan, Run, Simulation, Worker
from app.models.attempt import AttemptOutcome
from app.plans.planned import planned_simulation
from app.settings import Settings
from planner.devices import DeviceProfile
from planner.errors import HeadroomError
from planner.plans import Plan as FoundPlan
from planner.plans import PlanRequest
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)


async def assignment_of(session: AsyncSession, job: Job, settings: Settings) -> Assignment:
    """Everything that the execution of a simulation, a plan or a run needs.

    Raises:
        HeadroomError: something that the job refers to is gone.
    """
    device = await device_profile(session, job.device)
    if device is None:
        raise HeadroomError(f"the device profile {job.device!r} is gone")
    measured, kind = await measurements(session, job.device), AssignmentKind(job.kind)
    return Assignment(
        kind=kind,
        request=await _request_of(session, job),
        device=measured.applied(device).model_dump(mode="json"),
        devices=await _all_devices(session, job) if isinstance(job, Plan) else [],
        baseline=isinstance(job, Run) and job.plan_id is not None,
        baseline_bytes=await _unplanned_peak(session, job),
        limits=limits_for(kind, settings),
    )


async def save_outcome(
    database: Database,
    job_id: str,
    attempt: int,
    outcome: Outcome,
    files: dict[str, tuple[int, bytes]],
) -> bool:
    """Write what came out, all or nothing; False where the attempt is over and nothing is written.

    Args:
        files: the outcome's artifacts as they are stored: size and compressed content.

    Raises:
        ValidationError: the result is not what such a job results in.
    """
    exit_ = asdict(outcome.exit) if is_dataclass(outcome.exit) else None
    async with database.write() as session:
        job = await lifecycle.owned(session, job_id, attempt)
        if job is None:
            _log.warning(
                "job %s, attempt %d: no longer ours; its outcome is dropped", job_id, attempt
            )
            return False
        status = fill(job, outcome)
        if isinstance(job, Run):
            worker = await session.get(Worker, job.worker_id)
            job.worker = None if worker is None else _describe(worker)
            profile = await device_profile(session, job.device)
            if worker is not None and job.measured and _is_of_profile(worker, profile):
                job.seconds_ratio = seconds_ratio(job.predicted, job.measured)
        await artifacts.save(session, job.id, files)
        await lifecycle.finish(session, job, status, outcome.problem)
        await lifecycle.close_attempt(session, job.id, attempt, AttemptOutcome.FINISHED, exit_)
    return True


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


async def _all_devices(session: AsyncSession, job: Job) -> list[dict[str, Any]]:
    """Of which a plan may choose one: those that the job's owner sees."""
    measured = await measurements(session)
    profiles = (await all_profiles(session, Caller(job.owner))).values()
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
