"""`/v1/gateway`: what workers without access to the database call."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Depends, Request, Response, UploadFile

from app.access.guard import routine
from app.access.keys import Identity
from app.context import ContextDep
from app.gateway import leases, results, sessions
from app.gateway.schemas import (
    Attached,
    Delivered,
    Heartbeat,
    HeartbeatAnswer,
    Lease,
    LeaseRequest,
    WorkerAttach,
)
from app.gateway.sessions import WorkerSession
from app.jobs.headers import PreferHeader
from app.jobs.schemas import problems
from app.kit.json_body import StrictJsonRoute
from app.kit.preferences import seconds_to_wait

router = APIRouter(
    prefix="/v1/gateway/sessions/{session_id}", tags=["gateway"], route_class=StrictJsonRoute
)
RESULT_PATH = re.compile(r"/v1/gateway/sessions/[^/]+/leases/[^/]+/result")
"""Where bodies are larger than elsewhere."""


def _caller(session_id: UUID, request: Request) -> WorkerSession:
    identity: Identity | None = getattr(request.state, "identity", None)
    return WorkerSession(str(session_id), None if identity is None else identity.key_id)


CallerDep = Annotated[WorkerSession, Depends(_caller)]


@router.put("", operation_id="attachWorker", responses=problems(409))
async def attach(body: WorkerAttach, caller: CallerDep, context: ContextDep) -> Attached:
    """Attach a worker process. Its session is a random UUID that the process made at its start.

    409 where another process with this id lives; `Retry-After`-like, `retry_after_s` says when the
    id would be free if that is silent from now on.
    """
    return await sessions.attach(context, caller, body)


@router.put(
    "/heartbeat",
    operation_id="sendHeartbeat",
    dependencies=[Depends(routine)],
    responses=problems(410),
)
async def heartbeat(
    body: Heartbeat, caller: CallerDep, context: ContextDep, background: BackgroundTasks
) -> HeartbeatAnswer:
    """Say that the worker lives, and how far its jobs are; hear which of them to stop."""
    states = await sessions.heartbeat(context, caller, body.leases)
    background.add_task(context.upkeep.if_due)
    return HeartbeatAnswer(leases=states)


@router.put("/drain", operation_id="drainWorker", status_code=204, responses=problems(410))
async def drain(caller: CallerDep, context: ContextDep) -> None:
    """Take no more jobs; those at hand may be delivered."""
    await sessions.drain(context, caller)


@router.delete("", operation_id="detachWorker", status_code=204, responses=problems())
async def detach(caller: CallerDep, context: ContextDep) -> None:
    """Leave. What was not delivered goes back to the queues."""
    await sessions.detach(context, caller)


@router.put(
    "/leases/{lease_id}",
    operation_id="takeLease",
    dependencies=[Depends(routine)],
    response_model=Lease,
    responses={204: {"description": "There is no job for this worker now"}, **problems(410)},
)
async def lease(
    lease_id: UUID,
    body: LeaseRequest,
    caller: CallerDep,
    context: ContextDep,
    request: Request,
    prefer: PreferHeader = None,
) -> Lease | Response:
    """Ask for a job. The lease is a random UUID that the worker made for this question.

    Where no answer came, ask again with the same UUID: what was given is given again. Waits for a
    job as long as `Prefer: wait=<seconds>` says; does not wait without it.
    """
    wait_s = seconds_to_wait(prefer, 0, context.settings.max_wait_s)
    found = await leases.lease(
        context, caller, str(lease_id), body.kind, wait_s, request.is_disconnected
    )
    return Response(status_code=204) if found is None else found


@router.put("/leases/{lease_id}/result", operation_id="deliverResult", responses=problems(404, 410))
async def result(
    lease_id: UUID,
    outcome: UploadFile,
    caller: CallerDep,
    context: ContextDep,
    tape: UploadFile | None = None,
    timeline: UploadFile | None = None,
) -> Delivered:
    """Deliver how a job ended: `outcome` is JSON (the schema `OutcomeReport`), the files are
    zlib-compressed. All is stored or nothing.
    """
    attempt = await leases.deliverable(context, caller, str(lease_id))
    given = {"tape": tape, "timeline": timeline}
    files = {name: part for name, part in given.items() if part is not None}
    ended, kept = await results.read(context, attempt.job_id, outcome, files)
    return await leases.deliver(context, attempt, ended, kept)
