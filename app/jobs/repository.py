"""Queries that are alike for every kind of job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import and_, case, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.database import insert_or_ignore, row_count
from app.jobs import lifecycle
from app.jobs.rows import reusable_hash
from app.jobs.schemas import JobQuery
from app.jobs.service import Table
from app.kit.pages import fetch_page
from app.models import DesignSearch, JobStatus, Plan, Simulation

#: Kinds of jobs whose answer identical requests share.
Answer = TypeVar("Answer", Simulation, Plan, DesignSearch)


class Listed(NamedTuple):
    """A job in a list, and which state of its row is meant."""

    id: str
    version: int


async def find_reusable(
    session: AsyncSession, table: type[Answer], content_hash: str, owner: str | None
) -> Answer | None:
    """The row that an identical request shares: the owner's own, or one that everybody sees.

    Of others only what has succeeded: what is unfinished they may cancel.
    """
    own = table.reusable_hash == reusable_hash(content_hash, owner)
    others = and_(
        table.content_hash == content_hash,
        table.status == JobStatus.SUCCEEDED,
        or_(table.shared, table.owner.is_(None)),
    )
    own_first = case((own, 0), else_=1)
    chosen = select(table).where(or_(own, others)).order_by(own_first, table.id).limit(1)
    return await session.scalar(chosen)


async def insert(
    session: AsyncSession, table: type[Answer], values: dict[str, Any]
) -> Answer | None:
    """Add a row; None where an identical request's came first."""
    if not await row_count(session, insert_or_ignore(session, table, values)):
        return None
    return await session.get_one(table, values["id"])


async def find_page(
    session: AsyncSession, table: type[Table], query: JobQuery, caller: Caller
) -> tuple[list[Listed], str | None]:
    """Ids and versions of one page of what the caller sees. Each filter of the query is a column of
    the same name.
    """
    statement = select(table.id, table.version).where(caller.visible(table))
    if query.mine:
        statement = statement.where(table.owner == caller.owner)
    for name, value in query.filters().items():
        statement = statement.where(getattr(table, name) == value)
    by_status = [statement.where(table.status == status) for status in set(query.status)]
    rows, cursor = await fetch_page(session, by_status or [statement], table.id, query)
    return [Listed(*row) for row in rows], cursor


async def visible_ids(session: AsyncSession, caller: Caller, job_ids: set[str]) -> set[str]:
    """Those of the jobs, of any kind, that the caller sees."""
    if caller.sees_all:
        return job_ids
    found: set[str] = set()
    for table in lifecycle.TABLES:
        mine = [job_id for job_id in job_ids if lifecycle.table_of(job_id) is table]
        if mine:
            seen = select(table.id).where(table.id.in_(mine), caller.visible(table))
            found.update(await session.scalars(seen))
    return found


async def find_all(session: AsyncSession, table: type[Table], ids: Sequence[str]) -> list[Table]:
    """Those of the jobs that there are, in no order."""
    return list((await session.scalars(select(table).where(table.id.in_(ids)))).all())
