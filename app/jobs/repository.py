"""Queries that are alike for every kind of job."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_or_ignore, row_count
from app.jobs.schemas import JobQuery
from app.jobs.service import Table
from app.kit.pages import fetch_page
from app.models import DesignSearch, Plan, Simulation

#: Kinds of jobs whose answer identical requests share.
Answer = TypeVar("Answer", Simulation, Plan, DesignSearch)


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
) -> tuple[list[Table], str | None]:
    """One page of the list. Each filter of the query is a column of the same name."""
    statement = select(table)
    if query.status:
        statement = statement.where(table.status.in_(query.status))
    for name, value in query.filters().items():
        statement = statement.where(getattr(table, name) == value)
    return await fetch_page(session, statement, table.id, query)
