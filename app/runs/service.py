"""Submitting runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.devices.repository import device_profile
from app.errors import Conflict
from app.jobs import artifacts, comparison, idempotency, lifecycle
from app.jobs.service import compute
from app.jobs.tape import predicted_timeline
from app.kit.ids import is_id, new_id
from app.models import JobStatus, Run, Simulation
from app.runs.schemas import RunCreate
from app.workers.service import choose_queue
from planner.errors import InvalidRequest

SCOPE = "runs"


async def submit(context: Context, body: RunCreate, key: str | None) -> tuple[Run, bool]:
    """The run for a request, and whether it was made now: only a repeated key finds an old one.

    Raises:
        InvalidRequest: no such simulation, or no worker with such labels.
        Conflict: the simulation has not succeeded.
        IdempotencyKeyReused: the key was given with another body before.
    """
    _refuse_plans(body)
    while True:
        try:
            async with context.database.write() as session:
                return await _submit(context, session, body, key)
        except idempotency.LostRace:
            continue


async def _submit(
    context: Context, session: AsyncSession, body: RunCreate, key: str | None
) -> tuple[Run, bool]:
    if key is not None and (known := await idempotency.find(session, SCOPE, key, body)):
        return await session.get_one(Run, known), False
    simulation = await _succeeded_simulation(session, body.simulation_id or "")
    labels = await _labels(session, body, simulation)
    run = Run(
        id=new_id(Run.prefix),
        status=JobStatus.QUEUED,
        queue=await choose_queue(session, context.settings, labels),
        simulation_id=simulation.id,
        labels=labels,
        model_type=simulation.model_type,
        task=simulation.task,
        device=simulation.device,
        predicted=comparison.predicted(simulation.prediction or {}),
    )
    session.add(run)
    await session.flush()
    await context.engine.enqueue(session, run.id, run.queue)
    lifecycle.record(session, run)
    if key is not None:
        await idempotency.remember(session, SCOPE, key, body, run.id)
    return run, True


async def timelines(context: Context, run: Run, max_points: int) -> dict[str, Any]:
    """Measured and predicted live bytes over the workload.

    Raises:
        Conflict: the run has not left a timeline.
    """

    def work(data: bytes) -> dict[str, Any]:
        from profiler.timeline import Timeline

        return Timeline.from_bytes(data).points(max_points)

    measured = await compute(context, run, artifacts.TIMELINE, work)
    simulation = await simulation_of(context, run)
    predicted = await predicted_timeline(context, simulation, max_points)
    return {"measured": measured, "predicted": predicted}


async def simulation_of(context: Context, run: Run) -> Simulation:
    """The simulation that was run."""
    async with context.database.read() as session:
        return await session.get_one(Simulation, run.simulation_id)


def _refuse_plans(body: RunCreate) -> None:
    if body.plan_id is not None:
        raise InvalidRequest.at(
            "/plan_id",
            "this version makes no plans, so it can run none",
            "give simulation_id, the id of a succeeded simulation",
        )
    if body.simulation_id is None:
        raise InvalidRequest.at("/simulation_id", "is needed", "add this field")


async def _succeeded_simulation(session: AsyncSession, simulation_id: str) -> Simulation:
    simulation = None
    if is_id(simulation_id, Simulation.prefix):
        simulation = await session.get(Simulation, simulation_id)
    if simulation is None:
        raise InvalidRequest.at(
            "/simulation_id",
            f"there is no simulation {simulation_id[:60]!r}",
            "POST /v1/simulations first and give the id it answers",
        )
    if simulation.status != JobStatus.SUCCEEDED:
        raise Conflict(
            f"{simulation.id} is {simulation.status}, and only a succeeded simulation can be run"
        )
    return simulation


async def _labels(session: AsyncSession, body: RunCreate, simulation: Simulation) -> dict[str, str]:
    device = await device_profile(session, simulation.device)
    kind = device.kind if device is not None else simulation.device
    labels = dict(body.labels or {})
    if labels.setdefault("device", kind) != kind:
        raise InvalidRequest.at(
            "/labels/device",
            f"the simulation is for a {kind} device, {simulation.device!r}",
            f"leave it out, or simulate for a {labels['device']} device and run that",
        )
    return labels
