"""What a worker is to do, as data; and doing it. Nothing here knows a database."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, Field

from app.worker_settings import WorkerSettings
from planner.errors import HeadroomError
from profiler.limits import Limits
from profiler.outcome import Outcome

_log = logging.getLogger(__name__)
OnProgress = Callable[[dict[str, Any]], None]


class AssignmentKind(StrEnum):
    """The kinds of job that need nothing but what their assignment holds."""

    SIMULATION = "simulation"
    PLAN = "plan"
    RUN = "run"


class Assignment(BaseModel):
    """One job with all that its execution needs: it can be sent anywhere."""

    kind: AssignmentKind
    request: dict[str, Any] = Field(description="what is simulated, planned for or run")
    device: dict[str, Any] = Field(description="the device profile, with what was measured of it")
    devices: list[dict[str, Any]] = Field([], description="of a plan: profiles to choose among")
    baseline: bool = Field(False, description="of a run: whether the unplanned step is run too")
    baseline_bytes: int | None = Field(
        None, description="of a run: what the unplanned step was predicted to take"
    )
    limits: Limits


def limits_for(kind: AssignmentKind, settings: WorkerSettings) -> Limits:
    """What the settings allow a job of the kind to take."""
    if kind is AssignmentKind.RUN:
        return Limits(settings.run_timeout_s, settings.run_memory_bytes)
    is_plan = kind is AssignmentKind.PLAN
    seconds = settings.plan_timeout_s if is_plan else settings.simulation_timeout_s
    return Limits(seconds, settings.simulation_memory_bytes)


class ExecutorLike(Protocol):
    """What a worker needs of `profiler.executor.Executor`."""

    async def simulate(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        limits: Limits,
        on_progress: OnProgress,
    ) -> Outcome:
        """Trace and simulate in a child process; cancelling the task kills the child."""
        ...

    async def plan(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        devices: list[dict[str, Any]],
        limits: Limits,
        on_progress: OnProgress,
    ) -> Outcome:
        """Find a strategy in a child process; cancelling the task kills the child."""
        ...

    async def run(
        self,
        request: dict[str, Any],
        device: dict[str, Any],
        *,
        baseline: bool,
        baseline_bytes: int | None,
        limits: Limits,
        on_progress: OnProgress,
    ) -> Outcome:
        """Execute on real tensors in a child process; cancelling the task kills the child."""
        ...


async def carry_out(
    assignment: Assignment, executor: ExecutorLike, on_progress: OnProgress
) -> Outcome:
    """Execute an assignment to its end. Raises nothing but what its executor raises."""
    request, device, limits = assignment.request, assignment.device, assignment.limits
    if assignment.kind is AssignmentKind.RUN:
        return await executor.run(
            request,
            device,
            baseline=assignment.baseline,
            baseline_bytes=assignment.baseline_bytes,
            limits=limits,
            on_progress=on_progress,
        )
    if assignment.kind is AssignmentKind.PLAN:
        return await executor.plan(
            request, device, devices=assignment.devices, limits=limits, on_progress=on_progress
        )
    return await executor.simulate(request, device, limits=limits, on_progress=on_progress)


def outcome_of_error(job_id: str, error: Exception) -> Outcome:
    """How a job ends whose execution raised, to be called where the error is handled."""
    if not isinstance(error, HeadroomError):
        _log.exception("job %s failed inside the worker", job_id)
        error = HeadroomError("see the worker's log for the cause")
    return Outcome("failed", problem=error.problem())
