"""One pipeline for every line that a process of the service logs, whoever logs it.

Modules log through the standard library; so do uvicorn, alembic and the engine. What a line
belongs to (request, job, attempt) is bound to its task with `structlog.contextvars` and added here.
"""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer
from structlog.typing import EventDict, Processor

from app.telemetry.scrub import Scrubber
from app.worker_settings import WorkerSettings

_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "dbos")
"""Loggers of libraries that bring handlers of their own."""
_CHATTY = ("aiosqlite", "asyncio", "httpcore2", "httpx2", "urllib3")
"""Loggers of libraries that at level DEBUG tell each statement or byte."""
_NOISE = frozenset(
    {"color_message", "applicationID", "applicationVersion", "executorID", "message", "asctime"}
)
"""Fields that uvicorn, the engine and other handlers add to records."""
_log = logging.getLogger("app")
_process: dict[str, Any] = {}


def configure(settings: WorkerSettings, component: str) -> None:
    """Send every line of this process to stderr in the form that the settings ask for.

    Args:
        component: what the process is: `api`, `worker`, `supervisor` or `migration`.
    """
    _process.clear()
    identify(component=component, pid=os.getpid())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings, handler.stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _FOREIGN:
        # The engine adds a handler of its own to its logger wherever it finds none.
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler] if name == "dbos" else []
        logger.propagate = name != "dbos"
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def identify(**fields: Any) -> None:
    """Add fields to every further line of this process, such as the worker's id."""
    _process.update(fields)


def _formatter(settings: WorkerSettings, is_terminal: bool) -> logging.Formatter:
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    renderer: Processor = (
        JSONRenderer(ensure_ascii=False)
        if as_json
        else ConsoleRenderer(
            colors=is_terminal,
            exception_formatter=plain_traceback,
            repr_native_str=True,  # a terminal obeys what a client may have sent
        )
    )
    scrubber = Scrubber(secrets_of(settings))

    def scrub(logger: Any, method: str, event: EventDict) -> EventDict:
        return {name: scrubber.field(name, value) for name, value in event.items()}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_origin,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # After exceptions have become text, which may quote a URL or a header.
            scrub,
            renderer,
        ],
    )


def secrets_of(settings: WorkerSettings) -> list[str]:
    """The secrets that this process was configured with."""
    headers = [value for name, value in os.environ.items() if _is_exporter_headers(name)]
    # name=value,name=value
    values = [pair.partition("=")[2] for text in headers for pair in text.split(",")]
    return [secret for secret in (*values, *settings.secrets) if secret]


def _is_exporter_headers(name: str) -> bool:
    return name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS")


def _add_origin(logger: Any, method: str, event: EventDict) -> EventDict:
    """Which process, which request, which trace."""
    for name in _NOISE:
        event.pop(name, None)
    if (job_id := event.pop("operationUUID", None)) is not None:
        event.setdefault("job_id", job_id)  # the engine's word for it
    if (request_id := correlation_id.get()) is not None:
        event.setdefault("request_id", request_id)
    span = get_current_span().get_span_context()
    if span.is_valid:
        event.setdefault("trace_id", format_trace_id(span.trace_id))
        event.setdefault("span_id", format_span_id(span.span_id))
    return {**event, **_process}


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("the process ends by an error", exc_info=(kind, error, trace))
