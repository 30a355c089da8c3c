"""Submitting a request whose answer is shared by all identical ones: all but runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.context import Context
from app.devices.repository import device_names, visible_profile
from app.jobs import idempotency, lifecycle, repository, turns
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
        caller: whose row it becomes.
        key: the client's idempotency key.
        shared: whether others are to see the row; None: as the settings say.
    """

    table: type[Answer]
    queue: str
    request: SimulationRequest | PlanRequest
    checked: SimulationRequest | PlanRequest
    digest: str
    caller: Caller
    key: str | None
    shared: bool | None

    def values(self, share_by_default: bool) -> dict[str, Any]:
        """Columns of the new row."""
        shared = share_by_default if self.shared is None else self.shared
        prefix, owner = self.table.prefix, self.caller.owner
        return answer_values(prefix, self.queue, self.checked, self.digest, owner, shared)


async def submit(
    context: Context,
    table: type[Answer],
    queue: str,
    check: Callable[[Request], Request],
    request: Request,
    key: str | None,
    shared: bool | None = None,
) -> tuple[Answer, bool]:
    """The row for a request, and whether it was made now.

    An identical request of the owner shares the stored one, unless that failed or was cancelled,
    and one that has succeeded and that everybody sees. A new one is stored and enqueued in one
    transaction.

    Raises:
        QuotaExceeded: too many jobs of the owner are unfinished for a new one.
        InvalidRequest: names the fields that are wrong, or an unknown device;
            nothing is stored.
        IdempotencyKeyReused: the key was given with another body before.
    """
    await context.warm.wait()
    given = (table.kind, idempotency.body_hash(request))
    if key is None and not shared and (digest := context.digests.get(given)) is not None:
        # It was found right before: a check of it takes longer than its answer from the store.
        async with context.database.read() as session:
            owner = context.caller.owner
            known = await repository.find_reusable(session, table, digest, owner)
        if known is not None:
            return known, False
    checked = await asyncio.to_thread(check, request)
    digest = content_hash(checked, versions())
    caller = context.caller
    submission = Submission(table, queue, request, checked, digest, caller, key, shared)
    async with context.database.read() as session:
        await check_device(session, caller, checked)
        context.digests[given] = digest
        known = await repository.find_reusable(session, table, digest, caller.owner)
    if known is not None and key is None and not shared:
        return known, False
    while True:
        try:
            async with context.database.write() as session:
                return await store(context, session, submission)
        except idempotency.LostRace:
            continue


async def store(
    context: Context, session: AsyncSession, submission: Submission[Answer]
) -> tuple[Answer, bool]:
    """The row of a submission in the transaction of the session, and whether it was made now.

    Raises:
        LostRace: another request was committed meanwhile: roll back and look again.
        IdempotencyKeyReused: the key was given with another body before.
        QuotaExceeded: too many jobs of the owner are unfinished for a new one.
    """
    table, key, request = submission.table, submission.key, submission.request
    caller = submission.caller
    if key is not None:
        known = await idempotency.find(session, caller, table, key, request)
        if known is not None:
            return known, False
    row = await repository.find_reusable(session, table, submission.digest, caller.owner)
    created = row is None
    if row is None:
        row = await _insert(context, session, submission)
    elif submission.shared and row.owner == caller.owner:
        await lifecycle.share(session, row.id, True)
    if key is not None:
        await idempotency.remember(session, caller, row, key, request)
    return row, created


async def _insert(
    context: Context, session: AsyncSession, submission: Submission[Answer]
) -> Answer:
    """Store and enqueue a new row.

    Raises:
        LostRace: PostgreSQL: an identical request was committed since we looked for one.
    """
    table, queue, owner = submission.table, submission.queue, submission.caller.owner
    await turns.admit(session, submission.caller)
    priority = await turns.next_turn(session, table, queue, owner)
    values = submission.values(context.settings.share_by_default)
    row = await repository.insert(session, table, {**values, "priority": priority})
    if row is None:
        raise idempotency.LostRace
    await context.engine.enqueue(session, row.id, queue, priority)
    lifecycle.record(session, row)
    return row


async def check_device(
    session: AsyncSession, caller: Caller, request: SimulationRequest | PlanRequest
) -> None:
    """Refuse a request for a device that the caller sees no profile of.

    Raises:
        InvalidRequest: names the ones there are.
    """
    names = request.devices if isinstance(request, DesignSearchRequest) else [request.device]
    for name in names:
        profile = None if "\0" in name else await visible_profile(session, caller, name)
        if profile is None:
            known = ", ".join(await device_names(session, caller))
            raise InvalidRequest.at(
                "/device",
                f"there is no device profile {name!r}",
                f"use one of: {known}; or POST a profile to /v1/devices",
            )
        if isinstance(request, SimulationRequest):
            placed(profile, request.placement)
