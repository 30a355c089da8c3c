"""Queries on simulations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_or_ignore, row_count
from app.kit.pages import fetch_page
from app.models import Simulation
from app.simulations.schemas import SimulationQuery


async def find_reusable(session: AsyncSession, content_hash: str) -> Simulation | None:
    """The simulation that an identical request shares."""
    return await session.scalar(select(Simulation).where(Simulation.reusable_hash == content_hash))


async def insert(session: AsyncSession, values: dict[str, Any]) -> Simulation | None:
    """Add a simulation; None where an identical one came first."""
    if not await row_count(session, insert_or_ignore(session, Simulation, values)):
        return None
    return await session.get_one(Simulation, values["id"])


async def find_page(
    session: AsyncSession, query: SimulationQuery
) -> tuple[list[Simulation], str | None]:
    """One page of the list."""
    statement = select(Simulation)
    if query.status:
        statement = statement.where(Simulation.status.in_(query.status))
    for name in ("model_type", "task", "mode", "device"):
        if (value := getattr(query, name)) is not None:
            statement = statement.where(getattr(Simulation, name) == value)
    return await fetch_page(session, statement, Simulation.id, query)
