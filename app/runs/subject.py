"""What a run is a run of: a succeeded simulation, or a plan that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.errors import Conflict
from app.jobs.lifecycle import lock
from app.jobs.repository import Answer
from app.kit.ids import is_id
from app.models import JobStatus, Plan, Simulation
from app.plans.planned import planned_simulation
from app.runs.schemas import RunCreate
from planner.errors import InvalidRequest
from planner.plans import Plan as FoundPlan
from planner.plans import PlanRequest


@dataclass(frozen=True)
class Subject:
    """What a run needs to know of the workload that it executes."""

    model_type: str | None
    task: str | None
    mode: str
    device: str
    prediction: dict[str, Any]


def refuse_unless_one(body: RunCreate) -> None:
    """Raise unless the body names either a simulation or a plan.

    Raises:
        InvalidRequest: it names both, or neither.
    """
    if body.simulation_id is None and body.plan_id is None:
        raise InvalidRequest.at(
            "/simulation_id", "is needed, or plan_id", "add one of these two fields"
        )
    if body.measured is None and body.environment is not None:
        raise InvalidRequest.at(
            "/environment", "is that of what was measured", "add measured, or leave it out"
        )
    if body.measured is not None and body.labels:
        raise InvalidRequest.at(
            "/labels", "choose a worker, and no worker runs what is reported", "leave them out"
        )
    if body.simulation_id is not None and body.plan_id is not None:
        raise InvalidRequest.at(
            "/plan_id",
            "a run is of a simulation or of a plan, not of both",
            "leave out plan_id or simulation_id",
        )


async def find_subject(session: AsyncSession, caller: Caller, body: RunCreate) -> Subject:
    """The simulation or plan that the body names, locked so that it is not deleted meanwhile.

    Raises:
        InvalidRequest: there is none, or none that the caller sees.
        Conflict: it has not succeeded, or nothing fits the plan's budget.
    """
    if body.plan_id is not None:
        return _planned(await _succeeded(session, caller, Plan, body.plan_id))
    simulation = await _succeeded(session, caller, Simulation, body.simulation_id or "")
    return Subject(
        simulation.model_type,
        simulation.task,
        simulation.mode,
        simulation.device,
        simulation.prediction or {},
    )


def _planned(plan: Plan) -> Subject:
    if not plan.feasible:
        raise Conflict(
            f"nothing fits the budget of {plan.id}, so there is nothing to run; its field "
            "infeasible says what would fit"
        )
    found = FoundPlan.model_validate(plan.plan)
    request = planned_simulation(PlanRequest.model_validate(plan.request), found)
    prediction = (plan.plan or {})["prediction"]
    return Subject(plan.model_type, plan.task, plan.mode, request.device, prediction)


async def _succeeded(
    session: AsyncSession, caller: Caller, table: type[Answer], job_id: str
) -> Answer:
    job = await lock(session, job_id) if is_id(job_id, table.prefix) else None
    kind = table.kind
    if not isinstance(job, table) or not caller.may_see(job):
        raise InvalidRequest.at(
            f"/{kind}_id",
            f"there is no {kind} {job_id[:60]!r}",
            f"POST /v1/{kind}s first and give the id it answers",
        )
    if job.status != JobStatus.SUCCEEDED:
        raise Conflict(f"{job.id} is {job.status}, and only a succeeded {kind} can be run")
    return job
