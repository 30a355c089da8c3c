"""`/v1/plans`."""

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
from app.jobs.tape import (
    Depth,
    EndEvent,
    ExportFormat,
    FirstEvent,
    MaxPoints,
    Tensors,
    export_tape,
    predicted_peak,
    predicted_timeline,
)
from app.kit.json_body import StrictJsonRoute
from app.models import Plan
from app.plans import service
from app.plans.schemas import PlanPage, PlanQuery, PlanResource
from planner.plans import PlanRequest

router = APIRouter(prefix="/v1/plans", tags=["plans"], route_class=StrictJsonRoute)
_answers = Answers(Plan, PlanResource, router.prefix)


@router.post(
    "",
    operation_id="createPlan",
    summary="Find the cheapest strategy that fits a budget",
    response_model=PlanResource,
    status_code=201,
    responses=_answers.create_responses("The same request was answered before", 422),
)
async def create(
    body: PlanRequest,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
    shared: SharedQuery = None,
) -> Response:
    """Find what to recompute, offload or split so that a training step fits a memory budget.

    Every peak in the answer is simulated with its strategy applied. Where nothing fits, the plan
    has succeeded all the same: `feasible` is false, and `infeasible` says what would fit.

    Waits up to 30 seconds for the answer (201), or as long as `Prefer: wait=<seconds>` says; what
    is not done by then goes on, and is to be asked for at `Location` (202). The same request again
    is answered from the store (200).
    """
    plan, created = await service.submit(context, body, idempotency_key, shared)
    return await _answers.submitted(context, plan, created, prefer)


@router.get("", operation_id="listPlans", response_model=PlanPage, responses=problems())
async def list_(query: Annotated[PlanQuery, Query()], context: ContextDep) -> Response:
    """Stored plans, newest first."""
    return await _answers.page(context, query)


@router.get(
    "/{plan_id}",
    operation_id="getPlan",
    response_model=PlanResource,
    responses=READ_RESPONSES,
)
async def get(
    plan_id: str,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """One plan."""
    return await _answers.read(context, plan_id, if_none_match)


@router.patch(
    "/{plan_id}",
    operation_id="updatePlan",
    response_model=PlanResource,
    responses=problems(403, 404, 422),
)
async def update(plan_id: str, body: Sharing, context: ContextDep) -> Response:
    """Let everybody see it, or no longer."""
    return await _answers.changed(context, plan_id, body)


@router.delete(
    "/{plan_id}",
    operation_id="deletePlan",
    response_model=PlanResource,
    responses=_answers.delete_responses(404, 409),
)
async def delete(plan_id: str, context: ContextDep) -> Response:
    """Cancel an unfinished plan; delete a finished one, unless runs refer to it."""
    return await _answers.deleted(context, plan_id)


@router.get(
    "/{plan_id}/timeline",
    operation_id="getPlanTimeline",
    response_model=dict[str, Any],
    responses=problems(404, 409),
)
async def timeline(
    plan_id: str,
    context: ContextDep,
    max_points: MaxPoints = 2_000,
    first_event: FirstEvent = 0,
    end_event: EndEvent = None,
) -> Response:
    """Live bytes of the planned step by category; of the smallest one where nothing fits."""
    plan = await jobs.state(context, Plan, plan_id)
    content = await predicted_timeline(context, plan, max_points, first_event, end_event)
    return Response(content, media_type="application/json")


@router.get(
    "/{plan_id}/peak",
    operation_id="getPlanPeak",
    response_model=dict[str, Any],
    responses=problems(404, 409),
)
async def peak(plan_id: str, context: ContextDep, max_tensors: Tensors = 100) -> Response:
    """What is alive at the peak of the planned step; of the smallest one where nothing fits."""
    plan = await jobs.state(context, Plan, plan_id)
    content = await predicted_peak(context, plan, max_tensors)
    return Response(content, media_type="application/json")


@router.get("/{plan_id}/graph", operation_id="getPlanGraph", responses=GRAPH_RESPONSES)
async def graph(plan_id: str, context: ContextDep, depth: Depth = None) -> Response:
    """The planned step's computation graph, as `networkx.node_link_graph` reads it."""
    plan = await jobs.state(context, Plan, plan_id)
    return await export_tape(context, plan, ExportFormat.NODE_LINK, depth)


@router.get("/{plan_id}/export", operation_id="exportPlan", responses=EXPORT_RESPONSES)
async def export(
    plan_id: str, format: ExportFormat, context: ContextDep, depth: Depth = None
) -> Response:
    """The planned step's computation graph as a file for other tools."""
    plan = await jobs.state(context, Plan, plan_id)
    return await export_tape(context, plan, format, depth, as_file=True)
