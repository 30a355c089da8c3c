"""`/v1/workers`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.context import ContextDep
from app.jobs.schemas import problems
from app.workers.service import all_workers, state_of

router = APIRouter(prefix="/v1/workers", tags=["workers"])


class WorkerResource(BaseModel):
    """A worker that is attached, or was within the last day."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    state: Literal["online", "stopped", "dead"]
    labels: dict[str, str]
    simulates: bool = Field(description="whether it takes simulations and plans besides runs")
    device: dict[str, Any]
    versions: dict[str, str]
    hostname: str
    jobs: list[str] = Field(description="ids of what it is doing")
    started_at: datetime
    last_seen_at: datetime


class WorkerList(BaseModel):
    """All workers, newest first."""

    items: list[WorkerResource]
    next_cursor: None = None


@router.get("", operation_id="listWorkers", responses=problems())
async def list_(context: ContextDep) -> WorkerList:
    """Workers and what they are doing."""
    async with context.database.read() as session:
        workers = await all_workers(session)
    items = []
    for worker in workers:
        worker.state = state_of(worker, context.settings)
        items.append(WorkerResource.model_validate(worker))
    return WorkerList(items=items)
