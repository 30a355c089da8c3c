"""What the endpoints work with, made once for an application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from cachetools import LRUCache
from fastapi import Depends, Request

from app.database import Database
from app.engine.client import EngineClient
from app.settings import Settings
from planner.designs.request import DesignSearchRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest

_REMEMBERED_DIGESTS = 10_000


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
    digests: LRUCache[tuple[str, str], str] = field(
        default_factory=lambda: LRUCache(_REMEMBERED_DIGESTS)
    )
    """Of requests that were found right: kind and hash as given -> content hash as checked."""
    rendered: LRUCache[tuple[str, int], bytes] = field(init=False)
    """Items of lists as JSON, by the job's id and version."""
    computing: asyncio.Semaphore = field(init=False)
    """Bounds computations on tapes, which take memory and a core each."""

    def __post_init__(self) -> None:
        self.rendered = LRUCache(self.settings.rendered_cache_bytes, getsizeof=len)
        self.computing = asyncio.Semaphore(self.settings.max_graphs_at_once)


async def get_context(request: Request) -> Context:
    """The context of the application that serves the request.

    A coroutine, since FastAPI calls plain functions in a thread.
    """
    context: Context = request.app.state.context
    return context


ContextDep = Annotated[Context, Depends(get_context)]
