"""`/v1/runs`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.context import Context, ContextDep
from app.jobs import service as jobs
from app.jobs.headers import IdempotencyKeyHeader, IfNoneMatchHeader, PreferHeader
from app.jobs.schemas import is_unchanged, problems, set_headers
from app.jobs.tape import Depth, ExportFormat, MaxPoints, export_graph
from app.jobs.waiting import wait_as_preferred
from app.kit.json_body import StrictJsonRoute
from app.models import Run
from app.runs import repository, service
from app.runs.schemas import RunCreate, RunPage, RunQuery, RunResource
from app.workers.service import waiting_warnings

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictJsonRoute)


@router.post(
    "",
    operation_id="createRun",
    summary="Run a simulation for real and measure it",
    response_model=RunResource,
    status_code=201,
    responses={
        200: {"model": RunResource, "description": "This Idempotency-Key made a run before"},
        202: {"model": RunResource, "description": "Not done yet; see Location"},
        **problems(409, 422),
    },
)
async def create(
    body: RunCreate,
    response: Response,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
) -> RunResource:
    """Execute a simulation's request on real tensors on a worker and measure every phase.

    Waits up to 30 seconds for the end (201), or as long as `Prefer: wait=<seconds>` says; what is
    not done by then goes on, and is to be asked for at `Location` (202).
    """
    run, created = await service.submit(context, body, idempotency_key)
    run = await wait_as_preferred(context, run, prefer)
    set_headers(response, run, f"{router.prefix}/{run.id}", created)
    return await _resource(context, run)


@router.get("", operation_id="listRuns", responses=problems())
async def list_(query: Annotated[RunQuery, Query()], context: ContextDep) -> RunPage:
    """Stored runs, newest first."""
    async with context.database.read() as session:
        rows, cursor = await repository.find_page(session, query)
    return RunPage(items=[RunResource.model_validate(row) for row in rows], next_cursor=cursor)


@router.get(
    "/{run_id}",
    operation_id="getRun",
    response_model=RunResource,
    responses={304: {"description": "Not changed since the ETag given"}, **problems(404)},
)
async def get(
    run_id: str,
    response: Response,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> RunResource | Response:
    """One run."""
    run = await jobs.read(context, Run, run_id)
    if is_unchanged(run, if_none_match):
        return Response(status_code=304)
    set_headers(response, run, "")
    return await _resource(context, run)


@router.delete(
    "/{run_id}",
    operation_id="deleteRun",
    response_model=RunResource,
    responses={
        200: {"model": RunResource, "description": "It was unfinished and is cancelled"},
        204: {"description": "It was finished and is deleted"},
        **problems(404),
    },
)
async def delete(run_id: str, context: ContextDep) -> RunResource | Response:
    """Cancel an unfinished run, killing its process; delete a finished one."""
    cancelled = await jobs.cancel_or_delete(context, Run, run_id)
    if cancelled is None:
        return Response(status_code=204)
    return await _resource(context, cancelled)


@router.get("/{run_id}/timeline", operation_id="getRunTimeline", responses=problems(404, 409))
async def timeline(
    run_id: str, context: ContextDep, max_points: MaxPoints = 2_000
) -> dict[str, Any]:
    """Live bytes over the workload, measured and predicted."""
    run = await jobs.read(context, Run, run_id)
    return await service.timelines(context, run, max_points)


@router.get(
    "/{run_id}/graph",
    operation_id="getRunGraph",
    responses={200: {"content": {"application/json": {}}}, **problems(404, 409)},
)
async def graph(run_id: str, context: ContextDep, depth: Depth = None) -> Response:
    """The computation graph of what was run, as node-link JSON."""
    run = await jobs.read(context, Run, run_id)
    simulation = await service.simulation_of(context, run)
    return await export_graph(context, simulation, ExportFormat.NODE_LINK, depth)


@router.get(
    "/{run_id}/export",
    operation_id="exportRun",
    responses={
        200: {"content": {"application/json": {}, "application/graphml+xml": {}}},
        **problems(404, 409),
    },
)
async def export(
    run_id: str, format: ExportFormat, context: ContextDep, depth: Depth = None
) -> Response:
    """The computation graph of what was run, as a file for other tools."""
    run = await jobs.read(context, Run, run_id)
    simulation = await service.simulation_of(context, run)
    return await export_graph(context, simulation, format, depth, as_file=True)


async def _resource(context: Context, run: Run) -> RunResource:
    resource = RunResource.model_validate(run)
    resource.warnings = await waiting_warnings(context, run)
    return resource
