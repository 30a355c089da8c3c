"""Seconds of a step, from executions without the profiler."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from profiler.marks import Hooks, OnProgress, WallClock

WANTED_SAMPLES = 3
MAX_SAMPLES = 11
SECONDS_OF_SAMPLES = 1.0

Step = Callable[[Hooks, int | None], object]
"""Executes a number of the workload's steps; None takes as many as a prediction covers."""


@dataclass
class Timing:
    """Samples of one step in seconds, and what was bounded."""

    samples: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def median_seconds(self) -> float | None:
        """The median, or None without samples."""
        return statistics.median(self.samples) if self.samples else None


def time_steps(
    execute_step: Callable[[Hooks], object],
    *,
    on_progress: OnProgress,
    budget_seconds: float,
    expected_seconds: float,
    synchronize: Callable[[], None] = lambda: None,
) -> Timing:
    """Execute one step to warm up, then at least three more; quick ones until a second is full.

    Args:
        execute_step: executes one step of the workload, or the one that it has.
        expected_seconds: how long a step took when it was measured; decides whether to begin.
        synchronize: waits until the device has done what it was given.
    """
    timing = Timing()
    started = time.perf_counter()
    executions = 0
    while not _enough(timing.samples):
        if time.perf_counter() - started + expected_seconds > budget_seconds:
            timing.notes.append(
                f"step_seconds has {len(timing.samples)} samples instead of {WANTED_SAMPLES}: "
                f"more would pass the timing budget of {budget_seconds:g} s"
            )
            break
        clock = WallClock(on_progress, synchronize)
        execute_step(clock)
        executions += 1
        expected_seconds = clock.seconds()
        if executions > 1:
            timing.samples.append(expected_seconds)
    return timing


def _enough(samples: list[float]) -> bool:
    if len(samples) < WANTED_SAMPLES:
        return False
    return len(samples) >= MAX_SAMPLES or sum(samples) >= SECONDS_OF_SAMPLES
