"""Waiting for a job to end. The database is asked, since any process may end it."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import select

from app.context import Context
from app.jobs.lifecycle import table_of
from app.models import JobStatus

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


async def wait_until_final(context: Context, job_id: str, seconds: float) -> None:
    """Return when the job is in a final state, is gone, time is up, or the server ends."""
    table = table_of(job_id)
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_S
    while (left := deadline - time.monotonic()) > 0 and not context.stopping.is_set():
        async with context.database.read() as session:
            status = await session.scalar(select(table.status).where(table.id == job_id))
        if status is None or JobStatus(status).is_final:
            return
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
