"""A fair share of the workers for every owner: how many jobs may wait, and which one is next."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.errors import QuotaExceeded
from app.jobs.lifecycle import TABLES, Job
from app.kit.columns import utc_now
from app.models import JobAttempt, JobStatus
from app.models.attempt import AttemptOutcome
from app.models.base import UNFINISHED

_FIRST = 1
"""The engine's least priority that can be asked for."""
_ENDED_LATELY = 20
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 1, 600
_RETRY_UNKNOWN_S = 60


async def admit(session: AsyncSession, caller: Caller) -> None:
    """Let one more job of the caller's owner in. To be called right before it is stored.

    Exact: of calls at the same time, one waits for the transaction of the other.

    Raises:
        QuotaExceeded: as many as are allowed are unfinished.
    """
    if caller.owner is None or caller.max_pending is None:
        return
    if session.get_bind().dialect.name == "postgresql":
        # SQLite's writers wait for each other anyway. Always the last lock that is taken, so that
        # nobody who holds it waits for another.
        key = func.hashtextextended(f"jobs of {caller.owner}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(key)))
    pending = 0
    for table in TABLES:
        unfinished = (table.status.in_(UNFINISHED), table.owner == caller.owner)
        counted = select(func.count()).select_from(table).where(*unfinished)
        pending += await session.scalar(counted) or 0
    if pending >= caller.max_pending:
        raise QuotaExceeded(
            f"{pending} jobs of {caller.owner!r} are unfinished, and at most {caller.max_pending} "
            "may be; wait until some have ended, cancel some, or have a key with a higher "
            "--max-pending made",
            caller.max_pending,
            await _seconds_until_one_ends(session),
        )


async def next_turn(session: AsyncSession, table: type[Job], queue: str, owner: str | None) -> int:
    """The priority of an owner's new job on a queue, so that owners take turns.

    Start-time fair queueing (Goyal, Vin and Cheng, 1996) with all jobs of one length: a job's tag
    is one more than that of its owner's last unfinished one, and at least that of the job which is
    next now. So the first job of an owner is about next whatever others have waiting, and none of
    them waits for ever: the tags of newcomers rise with those that are taken. Jobs without an owner
    are all alike: the oldest is next.
    """
    if owner is None:
        return _FIRST
    waiting = func.min(case((table.status == JobStatus.QUEUED, table.priority)))
    at_work = func.max(case((table.status == JobStatus.RUNNING, table.priority)))
    own = func.max(case((table.owner == owner, table.priority)))
    on_queue = (table.status.in_(UNFINISHED), table.queue == queue)
    tags: Any = (await session.execute(select(waiting, at_work, own).where(*on_queue))).one()
    next_tag = tags[0] if tags[0] is not None else tags[1] or _FIRST
    return int(next_tag if tags[2] is None else max(next_tag, tags[2] + 1))


async def _seconds_until_one_ends(session: AsyncSession) -> int:
    """An estimate: how long it took lately from the end of one job to that of the next."""
    newest = (
        select(JobAttempt.finished_at)
        .where(JobAttempt.outcome == AttemptOutcome.FINISHED)
        .order_by(JobAttempt.id.desc())
        .limit(_ENDED_LATELY)
    )
    ends = [end for end in await session.scalars(newest) if end is not None]
    if not ends:
        return _RETRY_UNKNOWN_S
    seconds = (utc_now() - min(ends)).total_seconds() / len(ends)
    return min(max(math.ceil(seconds), _SHORTEST_RETRY_S), _LONGEST_RETRY_S)
