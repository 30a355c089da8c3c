"""Submitting runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.devices.repository import device_profile
from app.errors import NotFound
from app.jobs import artifacts, comparison, idempotency, lifecycle, turns
from app.jobs.service import JobState, find_state
from app.jobs.tape import computed_json, predicted_timeline
from app.kit.ids import new_id
from app.models import JobStatus, Plan, Run, Simulation
from app.runs.reported import reported_run
from app.runs.schemas import RunCreate
from app.runs.subject import Subject, find_subject, refuse_unless_one
from app.workers.service import choose_queue
from planner.errors import InvalidRequest


async def submit(
    context: Context, body: RunCreate, key: str | None, shared: bool | None
) -> tuple[Run, bool]:
    """The run for a request, and whether it was made now: only a repeated key finds an old one.

    Raises:
        InvalidRequest: no such simulation or plan, or no worker with such labels.
        QuotaExceeded: too many jobs of the owner are unfinished for a new one.
        Conflict: the simulation or plan has not succeeded, or nothing fits the plan's budget.
        IdempotencyKeyReused: the key was given with another body before.
    """
    refuse_unless_one(body)
    while True:
        try:
            async with context.database.write() as session:
                return await _submit(context, session, body, key, shared)
        except idempotency.LostRace:
            continue


async def _submit(
    context: Context,
    session: AsyncSession,
    body: RunCreate,
    key: str | None,
    shared: bool | None,
) -> tuple[Run, bool]:
    caller = context.caller
    if key is not None and (known := await idempotency.find(session, caller, Run, key, body)):
        return known, False
    subject = await find_subject(session, caller, body)
    if body.measured is not None:
        run = await reported_run(session, context, body, subject, shared)
        if key is not None:
            await idempotency.remember(session, caller, run, key, body)
        return run, True
    labels = await _labels(session, body, subject)
    queue = await choose_queue(session, context.settings, labels)
    await turns.admit(session, caller)
    run = Run(
        id=new_id(Run.prefix),
        status=JobStatus.QUEUED,
        queue=queue,
        priority=await turns.next_turn(session, Run, queue, caller.owner),
        owner=caller.owner,
        shared=context.settings.share_by_default if shared is None else shared,
        simulation_id=body.simulation_id,
        plan_id=body.plan_id,
        labels=labels,
        model_type=subject.model_type,
        task=subject.task,
        mode=subject.mode,
        device=subject.device,
        predicted=comparison.predicted(subject.prediction),
    )
    session.add(run)
    await session.flush()
    await context.engine.enqueue(session, run.id, run.queue, run.priority)
    lifecycle.record(session, run)
    if key is not None:
        await idempotency.remember(session, caller, run, key, body)
    return run, True


async def timelines(context: Context, run: Run, max_points: int) -> bytes:
    """Measured and predicted live bytes over the workload, as JSON.

    Raises:
        Conflict: the run has not left a timeline.
    """

    def work(data: bytes) -> dict[str, Any]:
        from profiler.timeline import Timeline

        return Timeline.from_bytes(data).points(max_points)

    form = f"timeline {max_points}"
    measured = await computed_json(context, run, artifacts.TIMELINE, form, work)
    predicted = await predicted_timeline(context, await predicted_by(context, run), max_points)
    return b'{"measured":%b,"predicted":%b}' % (measured, predicted)


async def predicted_by(context: Context, run: Run) -> JobState:
    """The simulation or the plan that was run: whoever sees the run sees what it ran."""
    table, job_id = (Plan, run.plan_id) if run.plan_id else (Simulation, run.simulation_id)
    found = None if job_id is None else await find_state(context.database, table, job_id)
    if found is None:  # deleted since the run was read, with the run
        raise NotFound(f"there is no run {run.id!r}")
    return found


async def _labels(session: AsyncSession, body: RunCreate, subject: Subject) -> dict[str, str]:
    device = await device_profile(session, subject.device)
    kind = device.kind if device is not None else subject.device
    labels = dict(body.labels or {})
    if not labels and kind == "cuda":
        # Another card's kernels and memory are not what was predicted; labels may ask for one.
        labels["profile"] = subject.device
    if labels.setdefault("device", kind) != kind:
        raise InvalidRequest.at(
            "/labels/device",
            f"the prediction is for a {kind} device, {subject.device!r}",
            f"leave it out, or predict for a {labels['device']} device and run that",
        )
    return labels
