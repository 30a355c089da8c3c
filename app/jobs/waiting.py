"""Waiting for a job to end. The database is asked, since any process may end it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import select

from app.context import Context
from app.jobs.lifecycle import table_of
from app.jobs.service import Table, read
from app.kit.preferences import seconds_to_wait
from app.models import JobStatus

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


async def wait_as_preferred(context: Context, job: Table, prefer: str | None) -> Table:
    """The job when it is in a final state, or as it is when the time that the client prefers to
    wait is up, or the server ends.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    if JobStatus(job.status).is_final:
        return job
    table = table_of(job.id)

    async def ended() -> bool:
        async with context.database.read() as session:
            status = await session.scalar(select(table.status).where(table.id == job.id))
        return status is None or JobStatus(status).is_final

    await wait_until(context, ended, prefer)
    return await read(context, type(job), job.id)


async def wait_until(
    context: Context, ended: Callable[[], Awaitable[bool]], prefer: str | None
) -> None:
    """Return when something has ended, the time that the client prefers to wait is up, or the
    server ends.
    """
    settings = context.settings
    seconds = seconds_to_wait(prefer, settings.default_wait_s, settings.max_wait_s)
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_S
    while (left := deadline - time.monotonic()) > 0 and not context.stopping.is_set():
        if await ended():
            return
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
