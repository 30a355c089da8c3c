"""Submitting simulations."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.devices.repository import device_names, device_profile
from app.engine.queues import SIMULATIONS
from app.jobs import idempotency, lifecycle
from app.kit.ids import new_id
from app.models import JobStatus, Simulation
from app.simulations import repository
from planner.errors import InvalidRequest
from planner.request import SimulationRequest, content_hash
from planner.versions import versions

SCOPE = "simulations"


async def submit(
    context: Context, request: SimulationRequest, key: str | None
) -> tuple[Simulation, bool]:
    """The simulation for a request, and whether it was made now.

    An identical request shares the stored one, unless that failed or was cancelled. A new one is
    stored and enqueued in one transaction.

    Raises:
        InvalidRequest: names the fields that are wrong; nothing is stored.
        IdempotencyKeyReused: the key was given with another body before.
    """
    await context.warm.wait()
    checked = await asyncio.to_thread(context.check, request)
    digest = content_hash(checked, versions())
    async with context.database.read() as session:
        await _check_device(session, checked.device)
        if key is None and (known := await repository.find_reusable(session, digest)):
            return known, False
    while True:
        try:
            async with context.database.write() as session:
                return await _submit(context, session, request, checked, digest, key)
        except idempotency.LostRace:
            continue


async def _submit(
    context: Context,
    session: AsyncSession,
    request: SimulationRequest,
    checked: SimulationRequest,
    digest: str,
    key: str | None,
) -> tuple[Simulation, bool]:
    if key is not None and (known := await idempotency.find(session, SCOPE, key, request)):
        return await session.get_one(Simulation, known), False
    simulation = await repository.find_reusable(session, digest)
    created = False
    if simulation is None:
        simulation = await repository.insert(session, _values(checked, digest))
        created = simulation is not None
    if simulation is None:
        # PostgreSQL: an identical request was committed between the two statements above.
        simulation = await repository.find_reusable(session, digest)
        if simulation is None:
            raise idempotency.LostRace
    if created:
        await context.engine.enqueue(session, simulation.id, SIMULATIONS)
        lifecycle.record(session, simulation)
    if key is not None:
        await idempotency.remember(session, SCOPE, key, request, simulation.id)
    return simulation, created


def _values(request: SimulationRequest, digest: str) -> dict[str, Any]:
    config = getattr(request.model, "config", {})
    return {
        "id": new_id(Simulation.prefix),
        "status": JobStatus.QUEUED,
        "queue": SIMULATIONS,
        "request": request.model_dump(mode="json"),
        "versions": versions(),
        "content_hash": digest,
        "reusable_hash": digest,
        "model_type": config.get("model_type"),
        "task": getattr(request.model, "task", None),
        "mode": request.workload.mode,
        "device": request.device,
    }


async def _check_device(session: AsyncSession, name: str) -> None:
    if "\0" in name or await device_profile(session, name) is None:
        known = ", ".join(await device_names(session))
        raise InvalidRequest.at(
            "/device",
            f"there is no device profile {name!r}",
            f"use one of: {known}; or POST a profile to /v1/devices",
        )
