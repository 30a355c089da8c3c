"""`/v1/sweeps`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.context import Context, ContextDep
from app.jobs.answers import READ_RESPONSES
from app.jobs.headers import (
    IdempotencyKeyHeader,
    IfNoneMatchHeader,
    PreferHeader,
    SharedQuery,
)
from app.jobs.schemas import RETRY_AFTER_S, Sharing, problems
from app.jobs.waiting import wait_until
from app.kit.json_body import StrictJsonRoute
from app.models import Sweep
from app.sweeps import repository, service
from app.sweeps.repository import SweepState
from app.sweeps.schemas import SweepPage, SweepQuery, SweepResource
from planner.sweeps import SweepRequest

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"], route_class=StrictJsonRoute)


@router.post(
    "",
    operation_id="createSweep",
    summary="Predict every combination of some values",
    response_model=SweepResource,
    status_code=201,
    responses={
        200: {"model": SweepResource, "description": "The same key made it before"},
        202: {"model": SweepResource, "description": "Not done yet; see Location"},
        **problems(422),
    },
)
async def create(
    body: SweepRequest,
    response: Response,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
    shared: SharedQuery = None,
) -> SweepResource:
    """Predict one model in many workloads, or on many devices, at once: every combination of the
    values of the axes in `vary`, at most 256, each a simulation of its own in the store.

    Combinations that cannot be have a `problem` and no simulation; that none can be is an error.

    Waits up to 30 seconds for all of them (201), or as long as `Prefer: wait=<seconds>` says; what
    is not done by then goes on, and is to be asked for at `Location` (202).
    """
    sweep, created = await service.submit(context, body, idempotency_key, shared)

    async def ended() -> bool:
        return (await service.read(context, sweep.id))[1].status.is_final

    await wait_until(context, ended, prefer)
    sweep, state = await service.read(context, sweep.id)
    response.headers["Location"] = f"{router.prefix}/{sweep.id}"
    response.status_code = 201 if created else 200
    if not state.status.is_final:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return await _answer(context, response, sweep, state)


@router.get("", operation_id="listSweeps", responses=problems())
async def list_(query: Annotated[SweepQuery, Query()], context: ContextDep) -> SweepPage:
    """Stored sweeps without their points, newest first."""
    async with context.database.read() as session:
        sweeps, cursor = await repository.find_page(session, query, context.caller)
        states = await repository.states(session, [sweep.id for sweep in sweeps])
    items = [service.summarize(sweep, states[sweep.id]) for sweep in sweeps]
    return SweepPage(items=items, next_cursor=cursor)


@router.get(
    "/{sweep_id}",
    operation_id="getSweep",
    response_model=SweepResource,
    responses=READ_RESPONSES,
)
async def get(
    sweep_id: str,
    response: Response,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> SweepResource | Response:
    """One sweep with its points, as far as they are."""
    sweep, state = await service.read(context, sweep_id)
    if if_none_match is not None and _tag(sweep, state) in if_none_match:
        return Response(status_code=304)
    return await _answer(context, response, sweep, state)


@router.patch(
    "/{sweep_id}",
    operation_id="updateSweep",
    response_model=SweepResource,
    responses=problems(403, 404, 422),
)
async def update(
    sweep_id: str, body: Sharing, response: Response, context: ContextDep
) -> SweepResource:
    """Let everybody see it with the simulations that are its owner's, or no longer."""
    sweep, state = await service.share(context, sweep_id, body.shared)
    return await _answer(context, response, sweep, state)


@router.delete(
    "/{sweep_id}",
    operation_id="deleteSweep",
    response_model=SweepResource,
    responses={
        200: {"model": SweepResource, "description": "It was unfinished and is cancelled"},
        204: {"description": "It was finished and is deleted"},
        **problems(403, 404),
    },
)
async def delete(
    sweep_id: str, response: Response, context: ContextDep
) -> SweepResource | Response:
    """Cancel an unfinished sweep with the simulations that were made for it; delete a finished one,
    whose simulations stay.
    """
    if not await service.cancel_or_delete(context, sweep_id):
        return Response(status_code=204)
    sweep, state = await service.read(context, sweep_id)
    return await _answer(context, response, sweep, state)


async def _answer(
    context: Context, response: Response, sweep: Sweep, state: SweepState
) -> SweepResource:
    response.headers["ETag"] = _tag(sweep, state)
    return await service.describe(context, sweep, state)


def _tag(sweep: Sweep, state: SweepState) -> str:
    """Changes with every change of a simulation's row, which counts its version up."""
    return f'"{state.status}-{state.changes}-{sweep.shared:d}"'
