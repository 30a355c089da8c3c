"""`/v1/workers`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.context import ContextDep
from app.jobs.repository import visible_ids
from app.jobs.schemas import problems
from app.kit.clock import current_time
from app.models import WorkerState
from app.models.worker import AttachmentKind
from app.workers.service import all_workers, state_of
from planner.versions import versions

router = APIRouter(prefix="/v1/workers", tags=["workers"])


class WorkerResource(BaseModel):
    """A worker that is attached, or was within the last day."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    state: WorkerState
    attachment: AttachmentKind = Field(
        description="direct: in the database itself; gateway: over HTTP"
    )
    labels: dict[str, str]
    simulates: bool = Field(
        description="whether it takes simulations and plans besides runs; over HTTP no design"
        " searches"
    )
    device: dict[str, Any] = Field(
        description="what it is; `isolation`: what shuts its jobs in, as docs/security.md tells"
    )
    versions: dict[str, str]
    differs_in: list[str] = Field(
        [],
        description="packages whose version is another one than the service's: what this worker"
        " predicts and measures may be of another kind",
    )
    hostname: str
    jobs: list[str] = Field(description="ids of what it is doing, as far as you see it")
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
        workers, now = await all_workers(session), await current_time(session)
        at_work = {job_id for worker in workers for job_id in worker.jobs}
        seen = await visible_ids(session, context.caller, at_work)
    items, ours = [], versions()
    for worker in workers:
        worker.state = state_of(worker, context.settings, now)
        worker.jobs = [job_id for job_id in worker.jobs if job_id in seen]
        item = WorkerResource.model_validate(worker)
        item.differs_in = [name for name in ours if worker.versions.get(name) != ours[name]]
        items.append(item)
    return WorkerList(items=items)
