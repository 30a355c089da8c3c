"""`/v1/runs`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.context import ContextDep
from app.jobs import service as jobs
from app.jobs.answers import EXPORT_RESPONSES, GRAPH_RESPONSES, READ_RESPONSES, Answers
from app.jobs.headers import (
    IdempotencyKeyHeader,
    IfNoneMatchHeader,
    PreferHeader,
    SharedQuery,
)
from app.jobs.schemas import Sharing, problems
from app.jobs.tape import Depth, ExportFormat, MaxPoints, export_tape
from app.kit.json_body import StrictJsonRoute
from app.models import Run
from app.runs import service
from app.runs.schemas import RunCreate, RunPage, RunQuery, RunResource

router = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=StrictJsonRoute)
_answers = Answers(Run, RunResource, router.prefix)


@router.post(
    "",
    operation_id="createRun",
    summary="Run a simulation or a plan for real and measure it",
    response_model=RunResource,
    status_code=201,
    responses=_answers.create_responses("This Idempotency-Key made a run before", 409, 422),
)
async def create(
    body: RunCreate,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
    shared: SharedQuery = None,
) -> Response:
    """Execute a simulation's or a plan's request on real tensors and measure every phase.

    For a plan, the step without its strategy is run too, and their gradients are compared.

    Waits up to 30 seconds for the end (201), or as long as `Prefer: wait=<seconds>` says; what is
    not done by then goes on, and is to be asked for at `Location` (202).
    """
    run, created = await service.submit(context, body, idempotency_key, shared)
    return await _answers.submitted(context, run, created, prefer)


@router.get("", operation_id="listRuns", response_model=RunPage, responses=problems())
async def list_(query: Annotated[RunQuery, Query()], context: ContextDep) -> Response:
    """Stored runs, newest first."""
    return await _answers.page(context, query)


@router.get(
    "/{run_id}",
    operation_id="getRun",
    response_model=RunResource,
    responses=READ_RESPONSES,
)
async def get(
    run_id: str,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """One run."""
    return await _answers.read(context, run_id, if_none_match)


@router.patch(
    "/{run_id}",
    operation_id="updateRun",
    response_model=RunResource,
    responses=problems(403, 404, 422),
)
async def update(run_id: str, body: Sharing, context: ContextDep) -> Response:
    """Let everybody see it, or no longer."""
    return await _answers.changed(context, run_id, body)


@router.delete(
    "/{run_id}",
    operation_id="deleteRun",
    response_model=RunResource,
    responses=_answers.delete_responses(404),
)
async def delete(run_id: str, context: ContextDep) -> Response:
    """Cancel an unfinished run, killing its process; delete a finished one."""
    return await _answers.deleted(context, run_id)


@router.get(
    "/{run_id}/timeline",
    operation_id="getRunTimeline",
    response_model=dict[str, Any],
    responses=problems(404, 409),
)
async def timeline(run_id: str, context: ContextDep, max_points: MaxPoints = 2_000) -> Response:
    """Live bytes over the workload, measured and predicted."""
    run = await jobs.read(context, Run, run_id)
    content = await service.timelines(context, run, max_points)
    return Response(content, media_type="application/json")


@router.get("/{run_id}/graph", operation_id="getRunGraph", responses=GRAPH_RESPONSES)
async def graph(run_id: str, context: ContextDep, depth: Depth = None) -> Response:
    """The computation graph of what was run, as node-link JSON."""
    run = await jobs.read(context, Run, run_id)
    predicted = await service.predicted_by(context, run)
    return await export_tape(context, predicted, ExportFormat.NODE_LINK, depth)


@router.get("/{run_id}/export", operation_id="exportRun", responses=EXPORT_RESPONSES)
async def export(
    run_id: str, format: ExportFormat, context: ContextDep, depth: Depth = None
) -> Response:
    """The computation graph of what was run, as a file for other tools."""
    run = await jobs.read(context, Run, run_id)
    predicted = await service.predicted_by(context, run)
    return await export_tape(context, predicted, format, depth, as_file=True)
