"""Submitting, reading and cancelling sweeps."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.engine.queues import SIMULATIONS
from app.errors import NotFound
from app.jobs import idempotency, lifecycle, submission
from app.jobs.submission import Submission
from app.kit.columns import utc_now
from app.kit.ids import is_id, new_id
from app.models import JobStatus, Simulation, Sweep
from app.models import SweepPoint as PointRow
from app.sweeps import repository
from app.sweeps.repository import SweepState
from app.sweeps.schemas import SweepCounts, SweepPointResource, SweepResource, SweepSummary
from planner.request import content_hash
from planner.sweeps import SweepPoint, SweepRequest, sweep_points
from planner.variation import Space
from planner.versions import versions


async def submit(
    context: Context, request: SweepRequest, key: str | None, shared: bool | None
) -> tuple[Sweep, bool]:
    """The sweep for a request, and whether it was made now: only a repeated key finds an old one.

    Its simulations are stored and enqueued with it, in one transaction; those that were asked for
    before are shared.

    Raises:
        InvalidRequest: the axes are wrong, or no combination is right; nothing is stored.
        QuotaExceeded: its simulations are more than the owner may have unfinished.
        IdempotencyKeyReused: the key was given with another body before.
    """
    await context.warm.wait()
    points = await asyncio.to_thread(sweep_points, request, context.check)
    async with context.database.read() as session:
        for each in {
            point.request.device: point.request for point in points if point.request
        }.values():
            await submission.check_device(session, context.caller, each)
    while True:
        try:
            async with context.database.write() as session:
                return await _store(context, session, request, points, key, shared)
        except idempotency.LostRace:
            continue


async def _store(
    context: Context,
    session: AsyncSession,
    request: SweepRequest,
    points: list[SweepPoint],
    key: str | None,
    shared: bool | None,
) -> tuple[Sweep, bool]:
    caller = context.caller
    if key is not None and (known := await idempotency.find(session, caller, Sweep, key, request)):
        return known, False
    sweep = Sweep(
        id=new_id(Sweep.prefix),
        owner=caller.owner,
        shared=context.settings.share_by_default if shared is None else shared,
        request=request.model_dump(mode="json"),
        model_type=getattr(request.model, "config", {}).get("model_type"),
        task=getattr(request.model, "task", None),
        mode=request.workload.mode,
    )
    session.add(sweep)
    await session.flush()
    for number, point in enumerate(points):
        session.add(await _stored_point(context, session, sweep.id, number, point, shared))
    if key is not None:
        await idempotency.remember(session, caller, sweep, key, request)
    return sweep, True


async def _stored_point(
    context: Context,
    session: AsyncSession,
    sweep_id: str,
    number: int,
    point: SweepPoint,
    shared: bool | None,
) -> PointRow:
    row = PointRow(sweep_id=sweep_id, number=number, created=False)
    if point.request is None:
        row.problem = point.error.problem() if point.error else None
        return row
    request = point.request
    digest = content_hash(request, versions())
    submitted = Submission(
        Simulation, SIMULATIONS, request, request, digest, context.caller, None, shared
    )
    simulation, row.created = await submission.store(context, session, submitted)
    row.simulation_id = simulation.id
    return row


async def read(context: Context, sweep_id: str) -> tuple[Sweep, SweepState]:
    """The sweep with that id, and how far it is.

    Raises:
        NotFound: there is none, or none that the caller sees.
    """
    if is_id(sweep_id, Sweep.prefix):
        async with context.database.read() as session:
            sweep = await session.get(Sweep, sweep_id)
            if sweep is not None and context.caller.may_see(sweep):
                return sweep, (await repository.states(session, [sweep_id]))[sweep_id]
    raise NotFound(f"there is no sweep {sweep_id[:60]!r}")


async def describe(context: Context, sweep: Sweep, state: SweepState) -> SweepResource:
    """The sweep with its points."""
    summary = summarize(sweep, state)
    space = Space.of(summary.request)
    async with context.database.read() as session:
        rows = await repository.points(session, sweep.id)
    points = [
        SweepPointResource.model_validate({**row._asdict(), "values": space.choices(row.number)})
        for row in rows
    ]
    return SweepResource(**dict(summary), points=points)


def summarize(sweep: Sweep, state: SweepState) -> SweepSummary:
    """The sweep without its points."""
    ended = {str(status): n for status, n in state.by_status.items() if status.is_final}
    counts: dict[str, Any] = {"total": state.total, **ended}
    return SweepSummary(
        id=sweep.id,
        status=state.status,
        counts=SweepCounts.model_validate(counts),
        request=SweepRequest.model_validate(sweep.request),
        created_at=sweep.created_at,
        owner=sweep.owner,
        shared=sweep.shared,
    )


async def share(context: Context, sweep_id: str, shared: bool) -> tuple[Sweep, SweepState]:
    """Let others see a sweep and the simulations in it that are its owner's, or no longer: of those
    that there were before it, nothing is taken back.

    Raises:
        NotFound: there is no such sweep.
        Forbidden: it is another's.
    """
    sweep, _ = await read(context, sweep_id)
    context.caller.require_own(sweep, sweep_id)
    async with context.database.write() as session:
        simulations = await repository.of_the_owner(session, sweep, made_for_it=not shared)
        for simulation_id in simulations:
            await lifecycle.share(session, simulation_id, shared)
        await session.execute(update(Sweep).where(Sweep.id == sweep_id).values(shared=shared))
    return await read(context, sweep_id)


async def cancel_or_delete(context: Context, sweep_id: str) -> bool:
    """Cancel an unfinished sweep, with the simulations that were made for it and have not ended;
    delete a finished one, whose simulations stay. Whether it was cancelled.

    Raises:
        NotFound: there is no such sweep.
        Forbidden: it is another's.
    """
    sweep, state = await read(context, sweep_id)
    context.caller.require_own(sweep, sweep_id)
    if JobStatus(state.status).is_final:
        async with context.database.write() as session:
            await session.delete(await session.merge(sweep))
            await idempotency.forget(session, sweep_id)
        return False
    async with context.database.write() as session:
        unfinished = await repository.unfinished_of_its_own(session, sweep_id)
        for simulation_id in unfinished:
            await lifecycle.cancel(session, simulation_id)
        (await session.get_one(Sweep, sweep_id)).cancelled_at = utc_now()
    for simulation_id in unfinished:
        await context.engine.cancel(simulation_id)
    return True
