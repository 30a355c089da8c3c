"""Queries on runs."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit.pages import fetch_page
from app.models import Run
from app.runs.schemas import RunQuery


async def find_page(session: AsyncSession, query: RunQuery) -> tuple[list[Run], str | None]:
    """One page of the list."""
    statement = select(Run)
    if query.status:
        statement = statement.where(Run.status.in_(query.status))
    for name in ("simulation_id", "model_type", "task", "device"):
        if (value := getattr(query, name)) is not None:
            statement = statement.where(getattr(Run, name) == value)
    return await fetch_page(session, statement, Run.id, query)
