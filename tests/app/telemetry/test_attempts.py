from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.kit.columns import utc_now
from app.telemetry import attempts
from app.telemetry.tracing import current_traceparent
from profiler.outcome import ChildExit, Outcome

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DONE = Outcome("succeeded", {})


@pytest.fixture
def spans(monkeypatch) -> InMemorySpanExporter:
    """What is traced, as if an exporter were configured."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def observed(attempt=1, traceparent=TRACEPARENT, waited_s=5.0):
    return attempts.observed(
        "run",
        "run_1",
        attempt,
        worker_id="w",
        traceparent=traceparent,
        queued_at=utc_now() - timedelta(seconds=waited_s),
    )


def test_waiting_and_attempt_are_parts_of_the_request_and_phases_of_the_attempt(spans):
    seen = []
    with observed() as attempt:
        report = attempt.following(seen.append)
        for phase in ("build", "build", "step0.forward"):
            report({"phase": phase})
        report({"done": 3})
        attempt.ended(DONE)
    queued, build, forward, whole = spans.get_finished_spans()
    assert [span.name for span in (queued, build, forward, whole)] == [
        "run queued",
        "build",
        "step0.forward",
        "run attempt",
    ]
    for span in (queued, whole):
        assert f"{span.parent.span_id:x}" == "b7ad6b7169203331"
        assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
        assert span.attributes["headroom.job.id"] == "run_1"
    for phase in (build, forward):
        assert phase.parent.span_id == whole.context.span_id
    assert 4e9 < queued.end_time - queued.start_time < 60e9
    assert build.end_time <= forward.start_time
    assert whole.attributes["headroom.job.status"] == "succeeded"
    assert len(seen) == 4


def test_a_failure_is_an_error_with_its_type(spans):
    with observed() as attempt:
        attempt.ended(Outcome("failed", problem={"type": "step-failed", "detail": "why"}))
    whole = spans.get_finished_spans()[-1]
    assert not whole.status.is_ok
    assert whole.status.description == "why"
    assert whole.attributes["error.type"] == "step-failed"


def test_an_attempt_that_is_cancelled_ends_its_spans(spans, logged):
    lines = logged()
    with pytest.raises(asyncio.CancelledError), observed() as attempt:  # noqa: PT012
        attempt.following(print)({"phase": "build"})
        raise asyncio.CancelledError
    assert [span.name for span in spans.get_finished_spans()] == [
        "run queued",
        "build",
        "run attempt",
    ]
    assert not spans.get_finished_spans()[-1].status.is_ok
    assert lines.all()[-1]["event"] == "attempt broken off"


def test_the_phases_of_one_attempt_are_bounded(spans):
    with observed() as attempt:
        report = attempt.following(lambda progress: None)
        for number in range(1000):
            report({"phase": f"batch {number}"})
        attempt.ended(DONE)
    *_, whole = found = spans.get_finished_spans()
    assert len(found) == attempts._MOST_PHASES + 2
    assert whole.attributes["headroom.phases.truncated"]


def test_a_job_without_a_trace_begins_one(spans):
    with observed(traceparent=None) as attempt:
        attempt.ended(DONE)
    assert spans.get_finished_spans()[-1].parent is None


def test_what_is_stored_within_an_attempt_belongs_to_its_trace_with_or_without_an_exporter(spans):
    assert current_traceparent() is None
    with observed():
        inside = current_traceparent()
    assert inside.split("-")[1] == TRACEPARENT.split("-")[1]
    assert inside.split("-")[2] != TRACEPARENT.split("-")[2]


def test_every_line_within_names_job_attempt_worker_and_trace_also_without_an_exporter(logged):
    lines = logged(log_level="DEBUG")
    with observed(attempt=2) as attempt:
        exit_ = ChildExit(signal="SIGKILL", phase="build", log="a warning\nof torch")
        attempt.ended(Outcome("failed", None, {"type": "worker-crashed"}, {}, exit_))
    started, ended, output = lines.all()
    for line in (started, ended, output):
        assert (line["job_id"], line["kind"], line["attempt"]) == ("run_1", "run", 2)
        assert line["worker_id"] == "w"
        assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert 4 < started["queued_s"] < 60
    assert ended["child_signal"] == "SIGKILL"
    assert ended["problem_type"] == "worker-crashed"
    assert (output["output"], output["level"]) == ("a warning\nof torch", "warning")


def test_what_a_child_wrote_that_succeeded_is_for_debugging(logged):
    lines = logged()
    with observed() as attempt:
        attempt.ended(Outcome("succeeded", {}, None, {}, ChildExit(log="chatter")))
    assert [line["event"] for line in lines.all()] == [
        "attempt started",
        "attempt ended: succeeded",
    ]
