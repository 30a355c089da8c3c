"""`/healthz` and `/readyz`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.context import ContextDep
from app.errors import NotReady
from app.jobs.schemas import problems
from app.kit.clock import current_time
from app.workers.service import TAKING, all_workers, state_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can take requests."""

    status: Literal["ready"] = "ready"
    database: Literal["ok"] = "ok"
    engine: Literal["ok"] = "ok"
    workers_online: int = Field(description="0 is no error: requests wait until a worker comes")


@router.get("/healthz", operation_id="getHealth")
async def health() -> Health:
    """Whether the process is alive."""
    return Health()


@router.get("/readyz", operation_id="getReadiness", responses=problems())
async def readiness(context: ContextDep) -> Readiness:
    """Whether database and engine answer, with a schema that this version works on; 503 if not."""
    try:
        await context.database.ping()
        migrated = await context.database.is_migrated()
        await context.engine.check()
    except Exception as error:
        raise NotReady("the database does not answer") from error
    if not migrated:
        raise NotReady(
            "this version does not work on the database's schema: run `headroom db upgrade`, or "
            "`headroom db status`, which says why"
        )
    if not context.warm.is_set():
        raise NotReady("the service is starting")
    async with context.database.read() as session:
        workers, now = await all_workers(session), await current_time(session)
    online = sum(state_of(worker, context.settings, now) in TAKING for worker in workers)
    return Readiness(workers_online=online)
