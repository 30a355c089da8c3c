"""A run of a plan: the planned step beside the unplanned one, and whether they learn the same.

The planned step has been measured already, alone. Whatever goes wrong here (usually the unplanned
step does not fit, which is why there is a plan) becomes a reason in the result and loses nothing.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from planner.apply import apply_strategy, remove_strategy
from planner.levers import effective
from planner.request import SimulationRequest
from planner.step import Job, execute, prepare
from planner.strategy import Strategy
from profiler.child import is_out_of_memory
from profiler.gradients import NotComparable, compare_gradients
from profiler.limits import Limits
from profiler.marks import Hooks, OnProgress
from profiler.measured import Measured
from profiler.outcome import RunOutOfMemory
from profiler.recorded import Recorded, with_timing
from profiler.room import release_memory, require_room
from profiler.run import RECORD, check_fits, step_of
from profiler.timing import time_alternately

_ALTERNATED = "step_seconds of the planned and the unplanned step were taken in turn"


@dataclass
class PlanRun:
    """One run of a plan, from the moment that the planned step has been measured.

    Attributes:
        request: the plan's, with its strategy.
        measured: the planned step.
        started: `time.monotonic()` when the job began; its wall clock runs from there.
        baseline_bytes: what the unplanned step is expected to hold, where that is known.
    """

    request: SimulationRequest
    measured: Measured
    device_kind: str
    limits: Limits
    started: float
    baseline_bytes: int | None
    on_progress: OnProgress
    _planned_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self._planned_seconds = time.monotonic() - self.started

    def prove(self) -> dict[str, Any]:
        """`measured` (again: seconds may be better), `baseline`, `slowdown`, `gradients_match`.

        `baseline` is `{"measured"}` or `{"reason"}`, `gradients_match` a `GradientsMatch` or
        `{"reason"}`; `slowdown` is the planned step's seconds by the baseline's, or None.
        """
        self.on_progress({"phase": "baseline"})
        baseline = self._attempt(self._measure_baseline)
        release_memory(self.device_kind)
        self.on_progress({"phase": "gradients"})
        match = self._attempt(lambda: self._compare(baseline))
        mine = self.measured.step_seconds
        plain = baseline.get("measured", {}).get("step_seconds")
        return {
            "measured": self.measured.model_dump(mode="json"),
            "baseline": baseline,
            "slowdown": mine / plain if mine is not None and plain else None,
            "gradients_match": match,
        }

    def _attempt(self, what: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result, or a reason: never an error, for the planned step's result must stay."""
        try:
            if self._remaining_seconds() < self._planned_seconds:
                return {"reason": "too little of the job's time is left for it"}
            release_memory(self.device_kind)
            return what()
        except (RunOutOfMemory, NotComparable) as error:
            return {"reason": str(error)}
        except Exception as error:
            detail = f"{type(error).__name__}: {str(error)[:300]}"
            if is_out_of_memory(error):
                return {"reason": f"it does not fit in memory: {detail}"}
            traceback.print_exc()
            return {"reason": detail}

    def _remaining_seconds(self) -> float:
        return self.limits.wall_seconds - (time.monotonic() - self.started)

    def _measure_baseline(self) -> dict[str, Any]:
        require_room(self.baseline_bytes, self.device_kind, self.limits)
        jobs: list[Job] = []
        plain = self.request.model_copy(update={"strategy": Strategy()})

        def build() -> Any:
            jobs.append(prepare(plain, self.device_kind))
            return step_of(jobs[0])

        recorded = RECORD[self.device_kind](build, on_progress=self._inside("baseline"))
        if self.device_kind == "cpu":
            check_fits(recorded.measured, self.limits.memory_bytes)
        if self._can_alternate():
            measured = self._time_in_turn(recorded, jobs[0])
        else:
            budget = self._timing_budget()
            measured = recorded.timed(self._inside("baseline"), budget)
        return {"measured": measured.model_dump(mode="json")}

    def _keeps_shape(self) -> bool:
        """Whether the strategy leaves the model and its inputs what they were."""
        shaped = effective(self.request)
        return shaped.model == self.request.model and shaped.workload == self.request.workload

    def _can_alternate(self) -> bool:
        """Whether the strategy can be applied to the unplanned job, and taken off again: another
        implementation of the optimizer may not go on with its state.
        """
        return self._keeps_shape() and self.request.strategy.optimizer.implementation is None

    def _time_in_turn(self, recorded: Recorded, job: Job) -> Measured:
        """The baseline with seconds; the planned step gets better ones too."""

        def planned(hooks: Hooks) -> None:
            apply_strategy(job.model, self.request.strategy, job.optimizer)
            try:
                execute(job, hooks, 1)
            finally:
                remove_strategy(job.model)

        mine, plain = time_alternately(
            [planned, lambda hooks: execute(job, hooks, 1)],
            on_progress=self._inside("baseline"),
            budget_seconds=self._timing_budget(),
            expected_seconds=(self.measured.step_seconds or 0.0) + recorded.expected_seconds,
            synchronize=recorded.synchronize,
        )
        if mine.samples:
            before = self.measured.model_copy(update={"notes": [*self.measured.notes, _ALTERNATED]})
            self.measured = with_timing(before, mine)
        return with_timing(recorded.measured, plain)

    def _timing_budget(self) -> float:
        """Leaves the gradients as much time as the planned step took."""
        spare = self._remaining_seconds() - self._planned_seconds
        return max(0.0, min(self.limits.timing_budget_seconds, spare))

    def _compare(self, baseline: dict[str, Any]) -> dict[str, Any]:
        if not self._keeps_shape():
            require_room(None, self.device_kind, self.limits)
        elif "measured" not in baseline:
            return {"reason": f"there is no unplanned step to compare with: {baseline['reason']}"}
        match = compare_gradients(self.request, self.device_kind)
        return match.model_dump(mode="json")

    def _inside(self, phase: str) -> OnProgress:
        """Progress of a part: its own phases are named beside it."""
        return lambda message: self.on_progress({**message, "phase": phase, "at": message["phase"]})
