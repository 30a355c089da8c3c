"""OpenTelemetry: what is exported where, and the trace that a job belongs to.

Without an endpoint in the environment nothing is exported and the SDK is not imported. The trace
of a request is remembered with its job all the same: of the W3C's header only the API is needed,
which FastAPI brings.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger(__name__)
_W3C = TraceContextTextMapPropagator()
_LAST_EXPORT_S = 3.0
HEADER = "traceparent"


@contextmanager
def exported(service: str, instance: str) -> Iterator[bool]:
    """Export this process's spans by OTLP over HTTP, if the environment says where to.

    What is left at the end is sent then, within three seconds: a collector that is away must not
    keep a service from ending.

    Endpoint, headers, sampling, batching and resource attributes are those of the standard
    `OTEL_*` variables.

    Args:
        service: `service.name` where the environment gives none.
        instance: `service.instance.id`, likewise.

    Yields:
        Whether spans are exported.
    """
    provider = _provider(service, instance) if _wanted() else None
    if provider is None:
        yield False
        return
    trace.set_tracer_provider(provider)
    try:
        yield True
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_LAST_EXPORT_S)


def _provider(service: str, instance: str) -> TracerProvider | None:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        _log.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but spans cannot be exported: "
            "install headroom[telemetry]"
        )
        return None
    attributes = {"service.name": service, "service.instance.id": instance}
    # The environment's have the last word.
    resource = Resource.create(attributes).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _wanted() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() or "otlp"
    if exporter != "otlp":
        if exporter != "none":
            _log.warning("OTEL_TRACES_EXPORTER=%s is not supported; use otlp or none", exporter)
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if not any(os.environ.get(name) for name in endpoints):
        return False
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol != "http/protobuf":
        _log.warning("OTEL_EXPORTER_OTLP_PROTOCOL=%s is not supported; use http/protobuf", protocol)
        return False
    return True


def current_traceparent() -> str | None:
    """The span that this code runs in, as the W3C's header; None outside of any trace."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(HEADER)


def context_of(headers: Mapping[str, str]) -> Context:
    """The context that a `traceparent` names; an empty one where it names none."""
    return _W3C.extract({name: value for name, value in headers.items() if value})


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace that a `traceparent` names, 32 hexadecimal digits."""
    return None if traceparent is None else traceparent.split("-")[1]
