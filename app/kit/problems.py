"""Every error as an RFC 9457 problem. The only place that knows status codes of domain errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from starlette.exceptions import HTTPException

from app.errors import (
    Conflict,
    Forbidden,
    IdempotencyKeyReused,
    LeaseOver,
    NotFound,
    NotReady,
    QuotaExceeded,
    SessionOver,
    WorkerIdTaken,
)
from app.kit.outages import AWAY, is_full
from app.kit.pointers import describe
from planner.errors import (
    MAX_ERRORS,
    HeadroomError,
    InvalidRequest,
    LimitExceeded,
    StorageFull,
    joined,
    shortened,
)

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)

_STATUS: dict[type[HeadroomError], int] = {
    InvalidRequest: 422,
    IdempotencyKeyReused: 422,
    LimitExceeded: 422,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    QuotaExceeded: 429,
    WorkerIdTaken: 409,
    LeaseOver: 410,
    SessionOver: 410,
    NotReady: 503,
    StorageFull: 507,
}
HTTP_PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("bad-request", "The request cannot be read"),
    401: ("unauthorized", "The service does not know who asks"),
    403: ("forbidden", "The key does not permit this"),
    404: ("not-found", "There is no such resource"),
    405: ("method-not-allowed", "The resource does not know this method"),
    413: ("body-too-large", "The body is larger than this service accepts"),
    415: ("unsupported-media-type", "The body is not plain JSON"),
    429: ("too-many-requests", "More requests than this service takes of one client"),
}


class _WithoutNulls(BaseModel):
    """A member that is null says nothing; it is left out."""

    @model_serializer(mode="wrap")
    def _serialize(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialize(self)
        return {name: value for name, value in data.items() if value is not None}


class ProblemError(_WithoutNulls):
    """One thing wrong with the request."""

    pointer: str | None = Field(None, description="JSON pointer (RFC 6901) into the body")
    parameter: str | None = Field(None, description="name of a query, path or header parameter")
    detail: str
    remedy: str | None = None


class Problem(_WithoutNulls):
    """A problem (RFC 9457). `type` is stable; further members depend on it."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "invalid-request",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "/workload/batch_size: Input should be greater than or equal to 1",
                    "errors": [
                        {
                            "pointer": "/workload/batch_size",
                            "detail": "Input should be greater than or equal to 1",
                            "remedy": "write a number that is at least 1",
                        }
                    ],
                }
            ]
        },
    )

    type: str = Field(description="what kind of problem, stable")
    title: str
    status: int | None = None
    detail: str | None = None
    errors: list[ProblemError] | None = None


def response(problem: Mapping[str, Any], status: int, headers: Any = None) -> JSONResponse:
    """A problem object as a response."""
    return JSONResponse({**problem, "status": status}, status, headers, MEDIA_TYPE)


def database_away(error: Exception) -> JSONResponse:
    """The response where the database does not answer or has no room; nothing was stored then."""
    _log.error("the database does not answer", exc_info=error)
    if is_full(error):
        full = StorageFull("the database's disk is full; make room on it, then send this again")
        return response(full.problem(), 507, {"Retry-After": "30"})
    return response(NotReady("the database does not answer").problem(), 503, {"Retry-After": "5"})


def install(app: FastAPI, known_fields: Sequence[str]) -> None:
    """Answer every error of the application with a problem.

    `known_fields` are names to suggest for misspelt ones.
    """

    async def domain(request: Request, error: HeadroomError) -> JSONResponse:
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
        headers = {"Retry-After": "5"} if status == 503 else None
        if isinstance(error, QuotaExceeded):
            headers = {"Retry-After": str(error.retry_after_s)}
        return response(error.problem(), status, headers)

    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kind, title = HTTP_PROBLEMS.get(error.status_code, ("http-error", "The request failed"))
        problem = {"type": kind, "title": title, "detail": _http_detail(error, request)}
        return response(problem, error.status_code, error.headers)

    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request, error, known_fields)

    async def away(request: Request, error: Exception) -> JSONResponse:
        return database_away(error)

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # %r: a path may hold line breaks, which would look like lines of the log's own.
        _log.exception("%s %r failed", request.method, request.url.path, exc_info=error)
        return response(HeadroomError("the service's log has the cause").problem(), 500)

    handlers: list[tuple[Any, Any]] = [
        (HeadroomError, domain),
        (HTTPException, http),
        (RequestValidationError, invalid),
        *((kind, away) for kind in AWAY),
        (Exception, unexpected),
    ]
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _http_detail(error: HTTPException, request: Request) -> str:
    if error.status_code == 404:
        return f"there is nothing at {request.url.path[:200]}; /docs lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return f"{request.method} is not possible here; allowed: {allowed}"
    return str(error.detail)


def _invalid(
    request: Request, error: RequestValidationError, known_fields: Sequence[str]
) -> JSONResponse:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        reason = found[0].get("ctx", {}).get("error") or found[0]["msg"]
        title = HTTP_PROBLEMS[400][1]
        problem = {"type": "malformed-json", "title": title, "detail": f"not valid JSON: {reason}"}
        return response(problem, 400)
    if isinstance(error.body, bytes):
        kind, title = HTTP_PROBLEMS[415]
        detail = "send the body as JSON, with the header Content-Type: application/json"
        return response({"type": kind, "title": title, "detail": detail}, 415)
    errors = [_entry(each, error.body, known_fields) for each in found[:MAX_ERRORS]]
    details = [
        f"{each.get('pointer', each.get('parameter', ''))}: {each['detail']}" for each in errors
    ]
    problem = {
        "type": InvalidRequest.type,
        "title": InvalidRequest.title,
        "detail": joined(details, len(found)),
    }
    return response({**problem, "errors": errors}, 422)


def _entry(error: Mapping[str, Any], body: Any, known_fields: Sequence[str]) -> dict[str, Any]:
    where, *location = error["loc"]
    entry = describe(
        {**error, "loc": location or [""]}, body if where == "body" else {}, known_fields
    )
    entry |= {name: shortened(entry[name]) for name in ("pointer", "detail")}
    if where == "body":
        return entry
    del entry["pointer"]
    return {"parameter": str(location[0]) if location else where, **entry}
