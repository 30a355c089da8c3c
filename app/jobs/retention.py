"""Deleting what is old: finished jobs with their files, and the log of writes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select

from app.database import Database, row_count
from app.engine.client import EngineClient
from app.errors import Conflict
from app.jobs import lifecycle
from app.jobs.service import delete_finished
from app.models import AuditEntry, Run, Simulation, Sweep, SweepPoint
from app.models.base import UNFINISHED

_BATCH = 200


async def prune(database: Database, engine: EngineClient, before: datetime) -> dict[str, int]:
    """Delete jobs that ended before the time, each in a transaction of its own, and log entries
    from before it. How many of each kind.

    A simulation or a plan stays as long as it has a run or a sweep that stays. May be broken off
    and repeated, and run beside the service.
    """
    counts: Counter[str] = Counter()
    async with database.write() as session:
        counts["sweep"] += await row_count(session, delete(Sweep).where(*_is_old_sweep(before)))
    for table in reversed(lifecycle.TABLES):  # runs first: they refer to the others
        last = ""
        while ids := await _old(database, table, before, last):
            last = ids[-1]
            for job_id in ids:
                try:
                    await delete_finished(database, engine, table, job_id)
                except Conflict:  # a run of it has just been asked for
                    continue
                counts[table.kind] += 1
    async with database.write() as session:
        old = delete(AuditEntry).where(AuditEntry.at < before)
        counts["audit entry"] += await row_count(session, old)
    return dict(counts)


async def count_old(database: Database, before: datetime) -> dict[str, int]:
    """What `prune` would delete, by kind."""
    counts = {}
    async with database.read() as session:
        sweeps = select(func.count()).select_from(Sweep).where(*_is_old_sweep(before))
        counts["sweep"] = await session.scalar(sweeps) or 0
        for table in reversed(lifecycle.TABLES):
            query = select(func.count()).select_from(table).where(*_is_old(table, before))
            counts[table.kind] = await session.scalar(query) or 0
        entries = select(func.count()).select_from(AuditEntry).where(AuditEntry.at < before)
        counts["audit entry"] = await session.scalar(entries) or 0
    return counts


async def _old(database: Database, table: type[Any], before: datetime, after: str) -> list[str]:
    query = select(table.id).where(*_is_old(table, before), table.id > after)
    async with database.read() as session:
        return list(await session.scalars(query.order_by(table.id).limit(_BATCH)))


def _is_old(table: type[Any], before: datetime) -> tuple[Any, ...]:
    ended: tuple[Any, ...] = (table.status.not_in(UNFINISHED), table.finished_at < before)
    if table is Run:
        return ended
    if table is Simulation:
        points = select(SweepPoint.number).join(Sweep).where(SweepPoint.simulation_id == table.id)
        ended = (*ended, ~points.where(~and_(*_is_old_sweep(before))).exists())
    # Runs that are deleted with it do not keep it.
    stays = or_(Run.status.in_(UNFINISHED), Run.finished_at >= before)
    refers = or_(Run.simulation_id == table.id, Run.plan_id == table.id)
    return (*ended, ~select(Run.id).where(refers, stays).exists())


def _is_old_sweep(before: datetime) -> tuple[Any, ...]:
    unfinished = (
        select(SweepPoint.number)
        .join(Simulation)
        .where(SweepPoint.sweep_id == Sweep.id, Simulation.status.in_(UNFINISHED))
        .correlate(Sweep)
    )
    return (Sweep.created_at < before, ~unfinished.exists())
