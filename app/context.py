"""What the endpoints work with, made once for an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.database import Database
from app.engine.client import EngineClient
from app.engine.leases import Leases
from app.gateway.upkeep import Upkeep
from app.settings import Settings
from planner.designs.request import DesignSearchRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest


@dataclass
class Context:
    """Everything long-lived of one API process."""

    settings: Settings
    database: Database
    engine: EngineClient
    check: Callable[[SimulationRequest], SimulationRequest]
    check_plan: Callable[[PlanRequest], PlanRequest]
    check_design_search: Callable[[DesignSearchRequest], DesignSearchRequest]
    warm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the model library's configurations are imported. Two threads that import them at
    the same time see them half-made, so everything that needs them waits for this."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is told to end: long answers finish early."""
    computing: asyncio.Semaphore = field(init=False)
    """Bounds computations on tapes, which take memory and a core each."""
    leases: Leases = field(init=False)
    upkeep: Upkeep = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.engine)
        self.upkeep = Upkeep(self.database, self.engine, self.leases, self.settings)
        self.computing = asyncio.Semaphore(self.settings.max_graphs_at_once)


def get_context(request: Request) -> Context:
    """The context of the application that serves the request."""
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(get_context)]
