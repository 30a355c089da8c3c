"""`/v1/simulations`."""

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
from app.models import Simulation
from app.simulations import service
from app.simulations.schemas import SimulationPage, SimulationQuery, SimulationResource
from planner.request import SimulationRequest

router = APIRouter(prefix="/v1/simulations", tags=["simulations"], route_class=StrictJsonRoute)
_answers = Answers(Simulation, SimulationResource, router.prefix)


@router.post(
    "",
    operation_id="createSimulation",
    summary="Predict the memory of a model and a workload",
    response_model=SimulationResource,
    status_code=201,
    responses=_answers.create_responses("The same request was answered before", 422),
)
async def create(
    body: SimulationRequest,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
    shared: SharedQuery = None,
) -> Response:
    """Predict what a step of this model takes on this device, to the byte, and what it is made of.

    Waits up to 30 seconds for the answer (201), or as long as `Prefer: wait=<seconds>` says; what
    is not done by then goes on, and is to be asked for at `Location` (202). The same request again
    is answered from the store (200).
    """
    simulation, created = await service.submit(context, body, idempotency_key, shared)
    return await _answers.submitted(context, simulation, created, prefer)


@router.get("", operation_id="listSimulations", response_model=SimulationPage, responses=problems())
async def list_(query: Annotated[SimulationQuery, Query()], context: ContextDep) -> Response:
    """Stored simulations, newest first."""
    return await _answers.page(context, query)


@router.get(
    "/{simulation_id}",
    operation_id="getSimulation",
    response_model=SimulationResource,
    responses=READ_RESPONSES,
)
async def get(
    simulation_id: str,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """One simulation."""
    return await _answers.read(context, simulation_id, if_none_match)


@router.patch(
    "/{simulation_id}",
    operation_id="updateSimulation",
    response_model=SimulationResource,
    responses=problems(403, 404, 422),
)
async def update(simulation_id: str, body: Sharing, context: ContextDep) -> Response:
    """Let everybody see it, or no longer."""
    return await _answers.changed(context, simulation_id, body)


@router.delete(
    "/{simulation_id}",
    operation_id="deleteSimulation",
    response_model=SimulationResource,
    responses=_answers.delete_responses(404, 409),
)
async def delete(simulation_id: str, context: ContextDep) -> Response:
    """Cancel an unfinished simulation; delete a finished one, unless runs refer to it."""
    return await _answers.deleted(context, simulation_id)


@router.get(
    "/{simulation_id}/timeline",
    operation_id="getSimulationTimeline",
    response_model=dict[str, Any],
    responses=problems(404, 409),
)
async def timeline(
    simulation_id: str,
    context: ContextDep,
    max_points: MaxPoints = 2_000,
    first_event: FirstEvent = 0,
    end_event: EndEvent = None,
) -> Response:
    """Live bytes over the workload by category, thinned without losing a peak.

    A window of events has as many points as the whole, so that one can look closely.
    """
    simulation = await jobs.state(context, Simulation, simulation_id)
    content = await predicted_timeline(context, simulation, max_points, first_event, end_event)
    return Response(content, media_type="application/json")


@router.get(
    "/{simulation_id}/peak",
    operation_id="getSimulationPeak",
    response_model=dict[str, Any],
    responses=problems(404, 409),
)
async def peak(simulation_id: str, context: ContextDep, max_tensors: Tensors = 100) -> Response:
    """What is alive at the peak: every module, and the largest tensors with what made them."""
    simulation = await jobs.state(context, Simulation, simulation_id)
    content = await predicted_peak(context, simulation, max_tensors)
    return Response(content, media_type="application/json")


@router.get("/{simulation_id}/graph", operation_id="getSimulationGraph", responses=GRAPH_RESPONSES)
async def graph(simulation_id: str, context: ContextDep, depth: Depth = None) -> Response:
    """The computation graph as node-link JSON, as `networkx.node_link_graph` reads it."""
    simulation = await jobs.state(context, Simulation, simulation_id)
    return await export_tape(context, simulation, ExportFormat.NODE_LINK, depth)


@router.get("/{simulation_id}/export", operation_id="exportSimulation", responses=EXPORT_RESPONSES)
async def export(
    simulation_id: str, format: ExportFormat, context: ContextDep, depth: Depth = None
) -> Response:
    """A file for other tools: the computation graph (`graphml`, `node-link`), a trace for Perfetto
    (`chrome-trace`), a snapshot for pytorch.org/memory_viz (`memory-snapshot`), a row for each
    storage (`csv`, `parquet`), or the buffers of the step with their lifetimes in ops and an offset
    for each in one arena (`arena`).
    """
    simulation = await jobs.state(context, Simulation, simulation_id)
    return await export_tape(context, simulation, format, depth, as_file=True)
