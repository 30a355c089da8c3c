"""What is logged and traced of one attempt of a job, in the worker that makes it.

Nothing here needs the database: what belongs to the job comes with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from structlog.contextvars import bound_contextvars

from app.telemetry.tracing import HEADER, context_of
from profiler.outcome import ChildExit, Outcome

OnProgress = Callable[[dict[str, Any]], None]

_log = logging.getLogger(__name__)
_MOST_PHASES = 200
"""Spans of one attempt: a search for the largest batch goes through any number of phases."""


class Attempt:
    """One attempt under observation."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span)
        self._tracer = trace.get_tracer("headroom")
        self._phase: Span | None = None
        self._name: str | None = None
        self._count = 0
        self._started = time.monotonic()
        self._has_ended = False

    def following(self, on_progress: OnProgress) -> OnProgress:
        """The same callback, with a span for each phase that the child says to be in."""

        def report(progress: dict[str, Any]) -> None:
            self._enter(progress.get("phase"))
            on_progress(progress)

        return report

    def ended(self, outcome: Outcome) -> None:
        """Tell what came out."""
        self._has_ended = True
        self._leave()
        problem, child = outcome.problem or {}, outcome.exit
        self._span.set_attribute("headroom.job.status", outcome.status)
        if outcome.status != "succeeded":
            self._span.set_attribute("error.type", str(problem.get("type", outcome.status)))
            self._span.set_status(StatusCode.ERROR, str(problem.get("detail", ""))[:1000])
        _log.info("attempt ended: %s", outcome.status, extra=self._fields(outcome))
        _log_output(child, failed=outcome.status == "failed")

    def broken_off(self, error: BaseException) -> None:
        """Tell that no outcome came: it was cancelled, or the worker is told to stop."""
        self._leave()
        if not self._has_ended:
            self._span.set_status(StatusCode.ERROR, type(error).__name__)
            seconds = round(time.monotonic() - self._started, 3)
            _log.info("attempt broken off", extra={"duration_s": seconds})

    def _fields(self, outcome: Outcome) -> dict[str, Any]:
        problem, child = outcome.problem or {}, outcome.exit
        found = {
            "status": outcome.status,
            "duration_s": round(time.monotonic() - self._started, 3),
            "problem_type": problem.get("type"),
            "problem_detail": problem.get("detail"),
            "child_signal": child.signal,
            "child_code": child.code,
            "child_phase": child.phase,
            "child_cpu_s": child.cpu_seconds,
            "child_peak_rss_bytes": child.peak_rss_bytes,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _enter(self, name: Any) -> None:
        if name is None or name == self._name:
            return
        if self._count >= _MOST_PHASES:
            self._span.set_attribute("headroom.phases.truncated", True)
            return
        self._leave()
        self._count += 1
        self._name = str(name)
        self._phase = self._tracer.start_span(self._name, self._context)

    def _leave(self) -> None:
        if self._phase is not None:
            self._phase.end()
        self._phase = self._name = None


@contextmanager
def observed(
    kind: str,
    job_id: str,
    attempt: int,
    *,
    worker_id: str,
    traceparent: str | None,
    queued_at: datetime,
) -> Iterator[Attempt]:
    """Log and trace what happens in the block as an attempt of the job.

    Args:
        kind: of job, such as `simulation`.
        traceparent: of the request that made the job; None where it came without a trace.
        queued_at: since when the job has been waiting for this attempt.
    """
    parent = context_of({HEADER: traceparent or ""})
    attributes: dict[str, str | int] = {
        "headroom.job.id": job_id,
        "headroom.job.kind": kind,
        "headroom.job.attempt": attempt,
        "headroom.worker.id": worker_id,
    }
    waited = _trace_wait(parent, kind, attributes, queued_at)
    tracer = trace.get_tracer("headroom")
    with (
        bound_contextvars(kind=kind, job_id=job_id, attempt=attempt, worker_id=worker_id),
        tracer.start_as_current_span(
            f"{kind} attempt",
            parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
    ):
        watched = Attempt(span)
        _log.info("attempt started", extra={"queued_s": round(waited, 3)})
        try:
            yield watched
        except BaseException as error:
            watched.broken_off(error)
            raise


def _trace_wait(
    parent: Context, kind: str, attributes: dict[str, str | int], queued_at: datetime
) -> float:
    """A span from the time of the queueing to now, by two hosts' clocks; returns its seconds."""
    end = time.time_ns()
    start = min(end, int(queued_at.timestamp() * 1e9))
    span = trace.get_tracer("headroom").start_span(
        f"{kind} queued", parent, attributes=attributes, start_time=start
    )
    span.end(end)
    return (end - start) / 1e9


def _log_output(child: ChildExit, failed: bool) -> None:
    """What the child wrote to stdout and stderr, as one line of the job's."""
    if child.log.strip():
        level = logging.WARNING if failed else logging.DEBUG
        _log.log(level, "output of the child", extra={"output": child.log})
