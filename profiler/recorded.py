"""A workload that was executed under observation and can be executed again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from profiler.cuda_history import AllocatorHistory
from profiler.marks import OnProgress
from profiler.measured import Measured
from profiler.timeline import Timeline
from profiler.timing import Step, Timing, time_steps


@dataclass
class Recorded:
    """What one execution showed, and the step itself: holding this holds the model.

    Attributes:
        measured: without seconds.
        expected_seconds: how long the last step took, observed.
        synchronize: waits until the device has done what it was given.
        history: every request to the caching allocator; None where there is none, or where the
            beginning was lost because there were too many.
    """

    measured: Measured
    timeline: Timeline
    step: Step
    expected_seconds: float
    synchronize: Callable[[], None] = lambda: None
    history: AllocatorHistory | None = None

    def timed(self, on_progress: OnProgress, budget_seconds: float) -> Measured:
        """What was measured, with the seconds of further executions."""
        timing = time_steps(
            lambda hooks: self.step(hooks, 1),
            on_progress=on_progress,
            budget_seconds=budget_seconds,
            expected_seconds=self.expected_seconds,
            synchronize=self.synchronize,
        )
        return with_timing(self.measured, timing)


def with_timing(measured: Measured, timing: Timing) -> Measured:
    """The same with seconds."""
    update = {
        "step_seconds": timing.median_seconds(),
        "step_seconds_samples": timing.samples,
        "notes": [*measured.notes, *timing.notes],
    }
    return measured.model_copy(update=update)
