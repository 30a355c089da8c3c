"""`/v1/events`: server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import func, select

from app.access.repository import is_valid
from app.context import Context, ContextDep
from app.jobs.schemas import problems
from app.kit.pages import Text
from app.models import Event

router = APIRouter(prefix="/v1", tags=["events"])

_POLL_S = 0.3
_BATCH = 500
_KEY_LOOKED_AT_EVERY_S = 5.0
_OVERLAP = 100
"""Ids looked at again: PostgreSQL's transactions commit in another order than they took ids."""

Kind = Literal["simulation", "plan", "run", "design_search", "worker"]


@router.get(
    "/events",
    operation_id="streamEvents",
    response_class=EventSourceResponse,
    responses=problems(),
)
async def stream(
    context: ContextDep,
    kind: Annotated[Kind | None, Query(description="only of this kind")] = None,
    resource_id: Annotated[Text | None, Query(description="only of this resource")] = None,
    last_event_id: Annotated[
        str | None, Header(description="continue after this event, as EventSource does by itself")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Every change of state and progress of what you see, from now on or from `Last-Event-ID` on.

    `event` is the kind of resource and `data` its id, status, progress and problem. Comments keep
    the connection alive. It ends when the key does.
    """
    last = await _start(context, last_event_id)
    floor = last
    sent: set[int] = set()
    trusted_until = time.monotonic() + _KEY_LOOKED_AT_EVERY_S
    yield ServerSentEvent(comment="connected", retry=2_000)
    while not context.stopping.is_set():
        if time.monotonic() > trusted_until:
            if not await _key_is_valid(context):
                return
            trusted_until = time.monotonic() + _KEY_LOOKED_AT_EVERY_S
        events = await _after(context, max(floor, last - _OVERLAP), kind, resource_id)
        fresh = [event for event in events if event.id not in sent]
        for event in fresh:
            yield ServerSentEvent(data=event.data, event=event.kind, id=str(event.id))
            sent.add(event.id)
            last = max(last, event.id)
        sent = {event_id for event_id in sent if event_id > last - _OVERLAP}
        if not fresh:
            await asyncio.sleep(_POLL_S)


async def _start(context: Context, last_event_id: str | None) -> int:
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        return min(int(last_event_id[:18]), 2**62)
    async with context.database.read() as session:
        return await session.scalar(select(func.max(Event.id))) or 0


async def _key_is_valid(context: Context) -> bool:
    if context.caller.key_id is None:
        return True
    async with context.database.read() as session:
        return await is_valid(session, context.caller.key_id)


async def _after(
    context: Context, event_id: int, kind: str | None, resource_id: str | None
) -> list[Event]:
    seen = (Event.id > event_id, context.caller.visible(Event))
    statement = select(Event).where(*seen).order_by(Event.id).limit(_BATCH)
    if kind is not None:
        statement = statement.where(Event.kind == kind)
    if resource_id is not None:
        statement = statement.where(Event.resource_id == resource_id)
    async with context.database.read() as session:
        return list((await session.scalars(statement)).all())
