"""A real run of a request in this process: measure it in the way of its device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from planner.request import SimulationRequest
from planner.step import STEPS, Job, execute, prepare
from profiler import environment, measure_cpu, measure_cuda
from profiler.marks import Hooks, OnProgress
from profiler.measured import Measured
from profiler.outcome import RunOutOfMemory
from profiler.timeline import Timeline
from profiler.timing import Step

RECORD = {"cpu": measure_cpu.record, "cuda": measure_cuda.record}
"""Executes a workload under observation, by kind of device."""


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
        request: with its preset resolved (`planner.check.check`).
        device_kind: `cpu` or `cuda`.
        on_progress: told `{"phase": name}` as each begins.
        timing_budget_seconds: bound of the executions that serve only `step_seconds`.

    Raises:
        HeadroomError: the model cannot be built, or its step fails.
    """
    on_progress({"phase": "build"})
    recorded = RECORD[device_kind](
        lambda: step_of(prepare(request, device_kind)), on_progress=on_progress
    )
    measured = recorded.timed(on_progress, timing_budget_seconds)
    return Run(measured, environment.describe(device_kind), recorded.timeline)


def check_fits(measured: Measured, limit_bytes: int | None) -> None:
    """Hold the live bytes to the limit exactly: the kernel's own bound leaves room for overhead.

    Raises:
        RunOutOfMemory: names the first phase that passed it.
    """
    if limit_bytes is None:
        return
    for phase in measured.phases:
        if phase.peak_bytes > limit_bytes:
            raise RunOutOfMemory(
                f"{phase.name} held {phase.peak_bytes} live bytes",
                phase=phase.name,
                peak_bytes=phase.peak_bytes,
            )


def step_of(job: Job) -> Step:
    """What executes the job's workload, or some steps of it."""
    return partial(_execute, job)


def _execute(job: Job, hooks: Hooks, steps: int | None) -> None:
    execute(job, hooks, STEPS if steps is None else steps)
