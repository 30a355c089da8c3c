"""The service as a worker without the database sees it: the calls of `/v1/gateway`."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar
from uuid import UUID

import httpx2
from pydantic import BaseModel, ValidationError

from app.engine.assignment import AssignmentKind
from app.gateway.schemas import (
    Attached,
    HeartbeatAnswer,
    Lease,
    LeaseState,
    WorkerAttach,
)
from app.kit import compression
from planner.errors import HeadroomError
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Schema = TypeVar("Schema", bound=BaseModel)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_MOST_FAILURES = 10
_LONGEST_DELIVERY_S = 300.0


class Unreachable(Exception):
    """No answer, or one that says to come again: the same call may be repeated."""

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class Refused(HeadroomError):
    """The service has understood and will not: repeating the call changes nothing."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = problem.get("detail") or problem.get("title") or "the service gave no reason"
        super().__init__(str(detail)[:2000])
        self.status = status
        self.kind = str(problem.get("type"))
        self.retry_after_s = problem.get("retry_after_s")

    def problem(self) -> dict[str, Any]:
        """As the service said it."""
        return {"type": self.kind, "title": "The service refuses", "detail": self.detail}


class Service:
    """The calls of one session. Each is made once; `persist` repeats it."""

    def __init__(self, client: httpx2.AsyncClient, session_id: UUID) -> None:
        self._client = client
        self._path = f"/v1/gateway/sessions/{session_id}"

    async def attach(self, body: WorkerAttach) -> Attached:
        """Become a worker of the service."""
        return _read(Attached, await self._call("PUT", "", body.model_dump(mode="json")))

    async def heartbeat(
        self, leases: Mapping[UUID, dict[str, Any] | None]
    ) -> dict[UUID, LeaseState]:
        """Say how far the jobs at hand are; hear what is to become of each."""
        body = {"leases": {str(lease): progress for lease, progress in leases.items()}}
        return _read(HeartbeatAnswer, await self._call("PUT", "/heartbeat", body)).leases

    async def lease(self, lease_id: UUID, kind: AssignmentKind, wait_s: float) -> Lease | None:
        """A job, or None where none came within the time."""
        answer = await self._call(
            "PUT",
            f"/leases/{lease_id}",
            {"kind": kind},
            headers={"Prefer": f"wait={int(wait_s)}"},
            timeout=httpx2.Timeout(10.0, read=wait_s + 15),
        )
        return None if answer.status_code == 204 else _read(Lease, answer)

    async def deliver(self, lease_id: UUID, outcome: Outcome) -> None:
        """Hand a result in."""
        report = {
            "status": outcome.status,
            "result": outcome.result,
            "problem": outcome.problem,
            "exit": asdict(outcome.exit),
        }
        files = {"outcome": ("outcome.json", json.dumps(report).encode(), "application/json")}
        for name, data in outcome.artifacts.items():
            content = await asyncio.to_thread(compression.compress, data)
            files[name] = (name, content, "application/zlib")
        timeout = httpx2.Timeout(10.0, read=_LONGEST_DELIVERY_S, write=_LONGEST_DELIVERY_S)
        await self._call("PUT", f"/leases/{lease_id}/result", files=files, timeout=timeout)

    async def drain(self) -> None:
        """Ask for no more jobs."""
        await self._call("PUT", "/drain")

    async def detach(self) -> None:
        """Leave, and hand back what is not delivered."""
        await self._call("DELETE", "")

    async def _call(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> httpx2.Response:
        if body is not None:
            options["json"] = body
        try:
            answer = await self._client.request(method, self._path + path, **options)
        except httpx2.TransportError as error:
            raise Unreachable(f"{type(error).__name__} {error}") from error
        if answer.is_success:
            return answer
        if answer.status_code in _PASSING:
            raise Unreachable(f"status {answer.status_code}", answer.status_code)
        raise Refused(answer.status_code, _problem(answer))


def _problem(answer: httpx2.Response) -> dict[str, Any]:
    if answer.has_redirect_location:
        return {"type": "redirected", "detail": "the address leads elsewhere; name the service's"}
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"type": "about:blank", "detail": "no problem object; is it a Headroom service?"}


def _read(schema: type[Schema], answer: httpx2.Response) -> Schema:
    try:
        return schema.model_validate_json(answer.content)
    except ValidationError as error:
        raise HeadroomError(
            f"the service's answer is none of this version's: {error.errors()[0]['msg']}"
        ) from None


async def persist(what: str, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make a call until it is answered, at growing distances.

    Raises:
        Refused: the answer is no; or the service has failed at it time and again.
    """
    pause, failures, broke = _FIRST_PAUSE_S, 0, 0
    while True:
        try:
            answer = await call()
        except Unreachable as error:
            failures += 1
            broke = broke + 1 if error.status == 500 else 0
            if broke == _MOST_FAILURES:
                detail = f"it failed at this {broke} times; its log has the cause"
                raise Refused(500, {"type": "internal-error", "detail": detail}) from None
            if failures == 1:
                _log.warning("%s: %s; trying again", what, error)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 2, _LONGEST_PAUSE_S)
        else:
            if failures:
                _log.info("%s: answered after %d failures", what, failures)
            return answer
