"""What the endpoints work with, made once for an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Annotated

from cachetools import LRUCache
from fastapi import Depends, Request

from app.access.caller import Caller, caller_of
from app.database import Database
from app.engine.client import EngineClient
from app.engine.leases import Leases
from app.gateway.upkeep import Upkeep
from app.jobs.rendered import Rendered
from app.settings import Settings
from planner.designs.request import DesignSearchRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest

_REMEMBERED_DIGESTS = 10_000


@dataclass
class Context:
    """Everything long-lived of one API process; and in an endpoint, who asks."""

    settings: Settings
    database: Database
    engine: EngineClient
    check: Callable[[SimulationRequest], SimulationRequest]
    check_plan: Callable[[PlanRequest], PlanRequest]
    check_design_search: Callable[[DesignSearchRequest], DesignSearchRequest]
    caller: Caller = field(default_factory=lambda: Caller(sees_all=True))
    """Whom an endpoint answers. Nothing that it does not see may be in the answer."""
    warm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the model library's configurations are imported. Two threads that import them at
    the same time see them half-made, so everything that needs them waits for this."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is told to end: long answers finish early."""
    digests: LRUCache[tuple[str, str], str] = field(
        default_factory=lambda: LRUCache(_REMEMBERED_DIGESTS)
    )
    """Of requests that were found right: kind and hash as given -> content hash as checked."""
    rendered: Rendered = field(init=False)
    computing: asyncio.Semaphore = field(init=False)
    """Bounds computations on tapes, which take memory and a core each."""
    leases: Leases = field(init=False)
    upkeep: Upkeep = field(init=False)

    def __post_init__(self) -> None:
        self.leases = Leases(self.engine)
        self.upkeep = Upkeep(self.database, self.engine, self.leases, self.settings)
        self.rendered = Rendered(self.settings.rendered_cache_bytes)
        self.computing = asyncio.Semaphore(self.settings.max_graphs_at_once)

    def asked_by(self, caller: Caller) -> Context:
        """The same context for a call of this caller."""
        asked = copy(self)
        asked.caller = caller
        return asked


async def get_context(request: Request) -> Context:
    """The context of the application that serves the request, for whoever makes it.

    A coroutine, since FastAPI calls plain functions in a thread.
    """
    context: Context = request.app.state.context
    identity = getattr(request.state, "identity", None)
    return context.asked_by(caller_of(identity, context.settings))


ContextDep = Annotated[Context, Depends(get_context)]
