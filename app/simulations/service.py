"""Submitting simulations."""

from __future__ import annotations

from app.context import Context
from app.engine.queues import SIMULATIONS
from app.jobs import submission
from app.models import Simulation
from planner.request import SimulationRequest


async def submit(
    context: Context, request: SimulationRequest, key: str | None, shared: bool | None
) -> tuple[Simulation, bool]:
    """The simulation for a request, and whether it was made now; see `app.jobs.submission`."""
    return await submission.submit(
        context, Simulation, SIMULATIONS, context.check, request, key, shared
    )
