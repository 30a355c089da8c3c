"""`/metrics` for Prometheus: HTTP metrics of this process, and the state of the service."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_fastapi_instrumentator import Instrumentator
from sqlalchemy import func, select

from app.context import Context, ContextDep
from app.jobs import lifecycle
from app.kit.clock import current_time
from app.models import JobStatus, Run
from app.models.base import UNFINISHED
from app.workers.service import TAKING, all_workers, state_of

router = APIRouter()


def install(app: FastAPI) -> None:
    """Count and time the requests of this application, by route."""
    registry = CollectorRegistry()
    app.state.metrics = registry
    Instrumentator(
        registry=registry, excluded_handlers=["/metrics", "/healthz", "/v1/events"]
    ).instrument(app)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, context: ContextDep) -> Response:
    """Everything in the text format of Prometheus."""
    state = CollectorRegistry()
    await _collect(context, state)
    http: CollectorRegistry = request.app.state.metrics
    content = generate_latest(http) + generate_latest(state)
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _collect(context: Context, registry: CollectorRegistry) -> None:
    """State that all processes share is read from the database at each scrape."""
    jobs = Gauge("headroom_jobs", "Stored jobs", ["kind", "status"], registry=registry)
    queued = Gauge("headroom_queue_depth", "Unfinished jobs", ["queue"], registry=registry)
    online = Gauge("headroom_worker_up", "1 while online", ["worker"], registry=registry)
    error = Gauge(
        "headroom_prediction_error_ratio",
        "Mean absolute relative error of the predicted peak over all runs",
        registry=registry,
    )
    async with context.database.read() as session:
        for table in lifecycle.TABLES:
            counts = select(table.status, func.count()).group_by(table.status)
            found: dict[str, int] = {row[0]: row[1] for row in await session.execute(counts)}
            for status in JobStatus:
                if table is Run or status is not JobStatus.OUT_OF_MEMORY:
                    jobs.labels(table.kind, str(status)).set(found.get(status, 0))
            depth = select(table.queue, func.count()).where(table.status.in_(UNFINISHED))
            for queue, count in (await session.execute(depth.group_by(table.queue))).all():
                queued.labels(queue).set(count)
        mean = await session.scalar(select(func.avg(func.abs(Run.relative_error))))
        now = await current_time(session)
        for worker in await all_workers(session):
            online.labels(worker.id).set(state_of(worker, context.settings, now) in TAKING)
    error.set(float("nan") if mean is None else mean)
