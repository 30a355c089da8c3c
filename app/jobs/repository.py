"""Queries that are alike for every kind of job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_or_ignore, row_count
from app.jobs.schemas import JobQuery
from app.jobs.service import Table
from app.kit.pages import fetch_page
from app.models import DesignSearch, Plan, Simulation

#: Kinds of jobs whose answer identical requests share.
Answer = TypeVar("Answer", Simulation, Plan, DesignSearch)


class Listed(NamedTuple):
    """A job in a list, and which state of its row is meant."""

    id: str
    version: int


async def find_reusable(
    session: AsyncSession, table: type[Answer], content_hash: str
) -> Answer | None:
    """The row that an identical request shares."""
    return await session.scalar(select(table).where(table.reusable_hash == content_hash))


async def insert(
    session: AsyncSession, table: type[Answer], values: dict[str, Any]
) -> Answer | None:
    """Add a row; None where an identical request's came first."""
    if not await row_count(session, insert_or_ignore(session, table, values)):
        return None
    return await session.get_one(table, values["id"])


async def find_page(
    session: AsyncSession, table: type[Table], query: JobQuery
) -> tuple[list[Listed], str | None]:
    """Ids and versions of one page. Each filter of the query is a column of the same name."""
    statement = select(table.id, table.version)
    if query.status:
        statement = statement.where(table.status.in_(query.status))
    for name, value in query.filters().items():
        statement = statement.where(getattr(table, name) == value)
    rows, cursor = await fetch_page(session, statement, table.id, query)
    return [Listed(*row) for row in rows], cursor


async def find_all(session: AsyncSession, table: type[Table], ids: Sequence[str]) -> list[Table]:
    """Those of the jobs that there are, in no order."""
    return list((await session.scalars(select(table).where(table.id.in_(ids)))).all())
