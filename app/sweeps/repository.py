"""Sweeps in the database. How far one is, is read from its simulations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, case, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.kit.pages import fetch_page
from app.models import JobStatus, Simulation, Sweep, SweepPoint
from app.models.base import UNFINISHED
from app.sweeps.schemas import SweepQuery


@dataclass
class SweepState:
    """How far a sweep is: its points by status, and the changes of its simulations."""

    status: JobStatus
    by_status: dict[JobStatus, int] = field(default_factory=dict)
    changes: int = 0

    @property
    def total(self) -> int:
        """Number of points."""
        return sum(self.by_status.values())


_point_status = func.coalesce(Simulation.status, JobStatus.FAILED)
"""That of a point without a simulation is `failed`: the combination cannot be."""


def _any_point(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    points = select(literal(1)).select_from(SweepPoint).outerjoin(Simulation)
    return exists(points.where(SweepPoint.sweep_id == Sweep.id, *conditions).correlate(Sweep))


_status = case(
    (Sweep.cancelled_at.is_not(None), JobStatus.CANCELLED),
    (
        _any_point(Simulation.status.in_(UNFINISHED)),
        case(
            (_any_point(Simulation.status != JobStatus.QUEUED), JobStatus.RUNNING),
            else_=JobStatus.QUEUED,
        ),
    ),
    (_any_point(Simulation.status == JobStatus.SUCCEEDED), JobStatus.SUCCEEDED),
    else_=JobStatus.FAILED,
)
"""Of a sweep."""


async def states(session: AsyncSession, sweep_ids: Sequence[str]) -> dict[str, SweepState]:
    """How far each of the sweeps is."""
    statuses = select(Sweep.id, _status).where(Sweep.id.in_(sweep_ids))
    found = {row[0]: SweepState(JobStatus(row[1])) for row in await session.execute(statuses)}
    counts = (
        select(SweepPoint.sweep_id, _point_status, func.count(), func.sum(Simulation.version))
        .outerjoin(Simulation)
        .where(SweepPoint.sweep_id.in_(sweep_ids))
        .group_by(SweepPoint.sweep_id, _point_status)
    )
    for sweep_id, status, count, versions in await session.execute(counts):
        found[sweep_id].by_status[JobStatus(status)] = count
        found[sweep_id].changes += int(versions or 0)
    return found


async def find_page(
    session: AsyncSession, query: SweepQuery, caller: Caller
) -> tuple[list[Sweep], str | None]:
    """One page of what the caller sees."""
    statement = select(Sweep.id).where(caller.visible(Sweep))
    if query.mine:
        statement = statement.where(Sweep.owner == caller.owner)
    if query.status:
        statement = statement.where(_status.in_(query.status))
    for name in ("model_type", "task", "mode", "owner", "shared"):
        if (value := getattr(query, name)) is not None:
            statement = statement.where(getattr(Sweep, name) == value)
    rows, cursor = await fetch_page(session, [statement], Sweep.id, query)
    chosen = select(Sweep).where(Sweep.id.in_([row.id for row in rows]))
    return list(await session.scalars(chosen.order_by(Sweep.id.desc()))), cursor


async def points(session: AsyncSession, sweep_id: str) -> Sequence[Row[Any]]:
    """The sweep's points in their order, with what their simulations say; of a prediction, only
    the few numbers that are shown.
    """
    prediction = Simulation.prediction
    query = (
        select(
            SweepPoint.number,
            SweepPoint.simulation_id,
            _point_status.label("status"),
            func.coalesce(Simulation.problem, SweepPoint.problem).label("problem"),
            Simulation.peak_bytes,
            prediction["reserved_bytes"].as_string().label("reserved_bytes"),
            prediction["device_bytes"].as_string().label("device_bytes"),
            prediction["fits"].as_boolean().label("fits"),
            prediction["step_seconds"].as_float().label("step_seconds"),
        )
        .outerjoin(Simulation)
        .where(SweepPoint.sweep_id == sweep_id)
        .order_by(SweepPoint.number)
    )
    return (await session.execute(query)).all()


async def of_the_owner(session: AsyncSession, sweep: Sweep, *, made_for_it: bool) -> list[str]:
    """Ids of the sweep's simulations that are its owner's; on request only those of them that did
    not exist before.
    """
    query = (
        select(Simulation.id)
        .join(SweepPoint)
        .where(SweepPoint.sweep_id == sweep.id, Simulation.owner == sweep.owner)
        .order_by(Simulation.id)
    )
    if made_for_it:
        query = query.where(SweepPoint.created)
    return list(await session.scalars(query.distinct()))


async def unfinished_of_its_own(session: AsyncSession, sweep_id: str) -> list[str]:
    """Ids of the simulations that were made for the sweep and have not ended."""
    query = (
        select(Simulation.id)
        .join(SweepPoint)
        .where(SweepPoint.sweep_id == sweep_id, SweepPoint.created)
        .where(Simulation.status.in_(UNFINISHED))
    )
    return list(await session.scalars(query))
