"""What the children of `cuda_suite.py` do on a GPU, each in a process of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.cuda_held import held_in
from planner.allocator import replay
from planner.check import check
from planner.request import SimulationRequest
from planner.step import prepare
from profiler import environment
from profiler.channel import Channel, JobResult
from profiler.context import measure_context
from profiler.cuda_history import AllocatorHistory
from profiler.measure_cuda import device_memory_errors, record
from profiler.run import step_of


def describe(payload: dict[str, Any], channel: Channel) -> JobResult:
    """The device and what a context takes of it: `{"environment", "context"}`.

    Raises:
        RuntimeError, AssertionError: there is no CUDA device, or torch is built without CUDA.
    """
    context = measure_context()
    return JobResult({"environment": environment.describe("cuda"), "context": context})


def run(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Execute the request: `{"measured"}`, and unless its history is incomplete also `replayed`
    and `held` of `of_history`.
    """
    request = check(SimulationRequest.model_validate(payload["request"]))
    channel.progress({"phase": "build"})
    with device_memory_errors():
        recorded = record(lambda: step_of(prepare(request, "cuda")), on_progress=channel.progress)
    result: dict[str, Any] = {"measured": recorded.measured.model_dump(mode="json")}
    if recorded.history is not None:
        result |= of_history(recorded.history)
    return JobResult(result)


def of_history(history: AllocatorHistory) -> dict[str, Any]:
    """What the simulated allocator makes of the real requests: `replayed`, its peaks by phase, and
    `held`, the blocks in use at the peak of each phase, labelled with the phase that made them.
    """
    served = replay(history.events, history.requested_bytes)
    births = [event for event, number in enumerate(history.events.tolist()) if number >= 0]
    replayed = {}
    for name, (first, end) in zip(history.phases, history.phase_events.tolist(), strict=True):
        window = slice(max(first - 1, 0), max(end, 1))
        replayed[name] = {
            "allocated_bytes": int(served.allocated_bytes[window].max(initial=0)),
            "reserved_bytes": int(served.reserved_bytes[window].max(initial=0)),
        }
    held = held_in(
        history.events,
        served.block_bytes,
        dict(zip(history.phases, history.phase_events.tolist(), strict=True)),
        lambda request: f"made in {history.phase_at(births[request])}",
    )
    return {"replayed": replayed, "held": held}
