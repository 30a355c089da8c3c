"""What is logged of a request, and what every line within it says."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from opentelemetry import context as otel
from opentelemetry import trace
from prometheus_fastapi_instrumentator.routing import get_route_name
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.telemetry.tracing import HEADER, context_of

_log = logging.getLogger("app.access")
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for every few seconds by machines."""
_LONGEST_PATH = 300


class RequestTelemetry:
    """Binds method and path to the request's context, and logs one line at its end.

    Whoever learns more of the request on the way (which key, which job) binds it as well. The
    caller's trace is taken over also where this process exports nothing, so that the job's worker
    can go on with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clear_contextvars()
        # Escaped, and no longer than anything of ours: a path is whatever a stranger sends.
        path = quote(scope["path"][:_LONGEST_PATH])
        bind_contextvars(method=scope["method"], path=path)
        started = time.perf_counter()
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = otel.attach(_context(scope))
        try:
            await self._app(scope, receive, watched)
        except BaseException:
            status = status or 500
            raise
        finally:
            _log_end(scope, status, time.perf_counter() - started)
            otel.detach(token)


def _context(scope: Scope) -> otel.Context:
    """The current one, within a span of FastAPI's; else that of the caller's header."""
    if trace.get_current_span().get_span_context().is_valid:
        return otel.get_current()
    return context_of({HEADER: Headers(scope=scope).get(HEADER, "")})


def _log_end(scope: Scope, status: int | None, seconds: float) -> None:
    level = logging.INFO
    if scope["path"] in PROBES:
        level = logging.DEBUG  # that it is not ready is what a probe hears itself
    elif status is None or status >= 500:
        level = logging.ERROR
    if _log.isEnabledFor(level):
        client = scope.get("client")
        fields = {
            "route": get_route_name(HTTPConnection(scope), False),
            "status": status,
            "duration_s": round(seconds, 6),
            "client": client[0] if client else None,
        }
        _log.log(level, "request", extra=fields)
