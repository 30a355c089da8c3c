"""`/v1/design-searches`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.context import ContextDep
from app.design_searches import service
from app.design_searches.schemas import (
    DesignSearchPage,
    DesignSearchQuery,
    DesignSearchResource,
)
from app.jobs.answers import READ_RESPONSES, Answers
from app.jobs.headers import (
    IdempotencyKeyHeader,
    IfNoneMatchHeader,
    PreferHeader,
    SharedQuery,
)
from app.jobs.schemas import Sharing, problems
from app.kit.json_body import StrictJsonRoute
from app.models import DesignSearch
from planner.designs.request import DesignSearchRequest

router = APIRouter(
    prefix="/v1/design-searches", tags=["design searches"], route_class=StrictJsonRoute
)
_answers = Answers(DesignSearch, DesignSearchResource, router.prefix)


@router.post(
    "",
    operation_id="createDesignSearch",
    summary="Find the best design of a space",
    response_model=DesignSearchResource,
    status_code=201,
    responses=_answers.create_responses("The same request was answered before", 422),
)
async def create(
    body: DesignSearchRequest,
    context: ContextDep,
    idempotency_key: IdempotencyKeyHeader = None,
    prefer: PreferHeader = None,
    shared: SharedQuery = None,
) -> Response:
    """Find the architecture, workload or device with the least memory, time or cost, or the most
    capacity, that keeps to some limits, by simulating few of many designs.

    Every design looked at is a simulation of its own in the store; those there already are learnt
    from, whether they were feasible or not, and cost nothing. Where no design is feasible, the
    search has succeeded all the same: `feasible` is false.

    Waits up to 30 seconds for the answer (201), or as long as `Prefer: wait=<seconds>` says; what
    is not done by then goes on, and is to be asked for at `Location` (202). The same request again
    is answered from the store (200); another `seed` makes it another one.
    """
    search, created = await service.submit(context, body, idempotency_key, shared)
    return await _answers.submitted(context, search, created, prefer)


@router.get(
    "", operation_id="listDesignSearches", response_model=DesignSearchPage, responses=problems()
)
async def list_(query: Annotated[DesignSearchQuery, Query()], context: ContextDep) -> Response:
    """Stored design searches, newest first."""
    return await _answers.page(context, query)


@router.get(
    "/{search_id}",
    operation_id="getDesignSearch",
    response_model=DesignSearchResource,
    responses=READ_RESPONSES,
)
async def get(
    search_id: str,
    context: ContextDep,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """One design search."""
    return await _answers.read(context, search_id, if_none_match)


@router.patch(
    "/{search_id}",
    operation_id="updateDesignSearch",
    response_model=DesignSearchResource,
    responses=problems(403, 404, 422),
)
async def update(search_id: str, body: Sharing, context: ContextDep) -> Response:
    """Let everybody see it, or no longer."""
    return await _answers.changed(context, search_id, body)


@router.delete(
    "/{search_id}",
    operation_id="deleteDesignSearch",
    response_model=DesignSearchResource,
    responses=_answers.delete_responses(404),
)
async def delete(search_id: str, context: ContextDep) -> Response:
    """Cancel an unfinished search; delete a finished one. Its designs' simulations stay."""
    return await _answers.deleted(context, search_id)
