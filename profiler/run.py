"""A real run of a request in this process: choose the device's way of measuring, measure, describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.request import SimulationRequest

from profiler import environment, measure_cpu
from profiler.marks import Hooks, OnProgress
from profiler.measured import Measured
from profiler.timeline import Timeline


@dataclass
class Run:
    """Everything one run found out."""

    measured: Measured
    environment: dict[str, Any]
    timeline: Timeline


def measure_request(
    request: SimulationRequest,
    *,
    device_kind: str = "cpu",
    on_progress: OnProgress = lambda message: None,
    timing_budget_seconds: float = 60.0,
) -> Run:
    """Execute the request's workload on real tensors and measure it.

    Args:
        device_kind: `cpu` or `cuda`.
        on_progress: told `{"phase": name}` as each begins.
        timing_budget_seconds: bound of the executions that only serve `step_seconds`.

    Raises:
        HeadroomError: the model cannot be built, or its step fails.
        RunOutOfMemory: the workload did not fit.
    """
    from planner.step import run_workload

    def execute(hooks: Hooks) -> None:
        run_workload(request, hooks)

    measured, timeline = measure_cpu.measure(
        execute, on_progress=on_progress, timing_budget_seconds=timing_budget_seconds
    )
    return Run(measured, environment.describe(device_kind), timeline)
