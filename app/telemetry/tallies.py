"""Counting what happens to jobs, in the transaction in which it happens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.base import JobColumns, JobStatus
from app.models.tally import Tally


class Name(StrEnum):
    """What is counted."""

    JOBS = "jobs"
    """Jobs that ended, by status."""
    FAILURES = "failures"
    """Jobs that ended with a problem, by its type."""
    ATTEMPTS = "attempts"
    """Attempts that ended, by how."""
    QUEUE = "queue"
    """Seconds from a job's acceptance to the start of its last attempt."""
    EXECUTION = "execution"
    """Seconds from that start to the job's end."""


BUCKETS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds in seconds. Others may take their place: what was counted stays where it is."""
BEYOND = 1e9
"""The bucket of all that is longer; a database's infinity is not portable."""


async def job_ended(session: AsyncSession, job: JobColumns) -> None:
    """Count a job that has just got a final state."""
    rows = [_row(Name.JOBS, job.kind, outcome=str(job.status))]
    if job.problem is not None and job.status != JobStatus.CANCELLED:
        problem = str(job.problem.get("type", "unknown"))[:100]
        rows.append(_row(Name.FAILURES, job.kind, outcome=problem))
    if job.started_at is not None and job.finished_at is not None:
        queued = (job.started_at - job.created_at).total_seconds()
        executed = (job.finished_at - job.started_at).total_seconds()
        rows.append(_row(Name.QUEUE, job.kind, seconds=queued))
        rows.append(_row(Name.EXECUTION, job.kind, seconds=executed))
    await _add(session, rows)


async def attempts_ended(session: AsyncSession, kind: str, outcome: str, count: int) -> None:
    """Count attempts at jobs of a kind that have just ended so."""
    if count:
        await _add(session, [{**_row(Name.ATTEMPTS, kind, outcome=outcome), "count": count}])


async def all_tallies(session: AsyncSession) -> list[Tally]:
    """Every number. They are few: they grow with the kinds of things, not with their count."""
    return list((await session.scalars(select(Tally))).all())


def _row(
    name: Name, kind: str, *, outcome: str = "", seconds: float | None = None
) -> dict[str, Any]:
    le = 0.0
    if seconds is not None:
        seconds = max(seconds, 0.0)  # two hosts' clocks
        index = bisect_left(BUCKETS, seconds)
        le = BUCKETS[index] if index < len(BUCKETS) else BEYOND
    return {
        "name": str(name),
        "kind": kind,
        "outcome": outcome,
        "le": le,
        "count": 1,
        "seconds": seconds or 0.0,
    }


async def _add(session: AsyncSession, rows: Iterable[dict[str, Any]]) -> None:
    """Rows are locked until the transaction ends: always in the same order, against deadlocks."""
    key = ("name", "kind", "outcome", "le")
    ordered = sorted(rows, key=lambda row: [row[column] for column in key])
    table = cast(Table, Tally.__table__)
    dialect = session.get_bind().dialect.name
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(table).values(ordered)
    more = {name: table.c[name] + insert.excluded[name] for name in ("count", "seconds")}
    await session.execute(insert.on_conflict_do_update(index_elements=key, set_=more))
