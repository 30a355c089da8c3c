"""Submitting a request whose answer is shared by all identical ones: all but runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.devices.repository import device_names, device_profile
from app.jobs import idempotency, lifecycle, repository
from app.jobs.repository import Answer
from app.jobs.rows import answer_values
from planner.accelerator.tiers import placed
from planner.designs.request import DesignSearchRequest
from planner.errors import InvalidRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest, content_hash
from planner.versions import versions

Request = TypeVar("Request", SimulationRequest, PlanRequest, DesignSearchRequest)


@dataclass(frozen=True)
class Submission(Generic[Answer]):
    """A request on its way into the store.

    Attributes:
        table: where its row goes.
        queue: whose workers answer it.
        request: as the client gave it; an idempotency key is bound to this.
        checked: with its preset resolved; what is stored and executed.
        key: the client's idempotency key.
    """

    table: type[Answer]
    queue: str
    request: SimulationRequest | PlanRequest
    checked: SimulationRequest | PlanRequest
    digest: str
    key: str | None

    @property
    def scope(self) -> str:
        """Keys are told apart by kind of job."""
        return f"{self.table.kind}s"

    def values(self) -> dict[str, Any]:
        """Columns of the new row."""
        return answer_values(self.table.prefix, self.queue, self.checked, self.digest)


async def submit(
    context: Context,
    table: type[Answer],
    queue: str,
    check: Callable[[Request], Request],
    request: Request,
    key: str | None,
) -> tuple[Answer, bool]:
    """The row for a request, and whether it was made now.

    An identical request shares the stored one, unless that failed or was cancelled. A new one is
    stored and enqueued in one transaction.

    Raises:
        InvalidRequest: names the fields that are wrong, or an unknown device;
            nothing is stored.
        IdempotencyKeyReused: the key was given with another body before.
    """
    await context.warm.wait()
    given = (table.kind, idempotency.body_hash(request))
    if key is None and (digest := context.digests.get(given)) is not None:
        # It was found right before: a check of it takes longer than its answer from the store.
        async with context.database.read() as session:
            if (known := await repository.find_reusable(session, table, digest)) is not None:
                return known, False
    checked = await asyncio.to_thread(check, request)
    digest = content_hash(checked, versions())
    submission = Submission(table, queue, request, checked, digest, key)
    async with context.database.read() as session:
        await _check_device(session, checked)
        context.digests[given] = digest
        if key is None and (known := await repository.find_reusable(session, table, digest)):
            return known, False
    while True:
        try:
            async with context.database.write() as session:
                return await _store(context, session, submission)
        except idempotency.LostRace:
            continue


async def _store(
    context: Context, session: AsyncSession, submission: Submission[Answer]
) -> tuple[Answer, bool]:
    table, key, request = submission.table, submission.key, submission.request
    scope = submission.scope
    if key is not None and (known := await idempotency.find(session, scope, key, request)):
        return await session.get_one(table, known), False
    row = await repository.find_reusable(session, table, submission.digest)
    created = False
    if row is None:
        row = await repository.insert(session, table, submission.values())
        created = row is not None
    if row is None:
        # PostgreSQL: an identical request was committed between the two statements above.
        row = await repository.find_reusable(session, table, submission.digest)
        if row is None:
            raise idempotency.LostRace
    if created:
        await context.engine.enqueue(session, row.id, submission.queue)
        lifecycle.record(session, row)
    if key is not None:
        await idempotency.remember(session, scope, key, request, row.id)
    return row, created


async def _check_device(session: AsyncSession, request: SimulationRequest | PlanRequest) -> None:
    names = request.devices if isinstance(request, DesignSearchRequest) else [request.device]
    for name in names:
        profile = None if "\0" in name else await device_profile(session, name)
        if profile is None:
            known = ", ".join(await device_names(session))
            raise InvalidRequest.at(
                "/device",
                f"there is no device profile {name!r}",
                f"use one of: {known}; or POST a profile to /v1/devices",
            )
        if isinstance(request, SimulationRequest):
            placed(profile, request.placement)
