"""Seconds of a step, from executions without the profiler."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
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
    (timing,) = time_alternately(
        [execute_step],
        on_progress=on_progress,
        budget_seconds=budget_seconds,
        expected_seconds=expected_seconds,
        synchronize=synchronize,
    )
    return timing


def time_alternately(
    executions: Sequence[Callable[[Hooks], object]],
    *,
    on_progress: OnProgress,
    budget_seconds: float,
    expected_seconds: float,
    synchronize: Callable[[], None] = lambda: None,
) -> list[Timing]:
    """Time several steps in turn, so that a host that is busy for a while slows them all.

    As `time_steps`, in rounds: each executes every step once, the first to warm up. All get equally
    many samples.

    Args:
        expected_seconds: how long a round is expected to take; decides whether to begin.
    """
    timings = [Timing() for _ in executions]
    started = time.perf_counter()
    warm = False
    while not all(_enough(timing.samples) for timing in timings):
        if time.perf_counter() - started + expected_seconds > budget_seconds:
            for timing in timings:
                timing.notes.append(
                    f"step_seconds has {len(timing.samples)} samples instead of {WANTED_SAMPLES}: "
                    f"more would pass the timing budget of {budget_seconds:g} s"
                )
            break
        clocks = [WallClock(on_progress, synchronize) for _ in executions]
        for execute_step, clock in zip(executions, clocks, strict=True):
            execute_step(clock)
        expected_seconds = sum(clock.seconds() for clock in clocks)
        if warm:
            for timing, clock in zip(timings, clocks, strict=True):
                timing.samples.append(clock.seconds())
        warm = True
    return timings


def _enough(samples: list[float]) -> bool:
    if len(samples) < WANTED_SAMPLES:
        return False
    return len(samples) >= MAX_SAMPLES or sum(samples) >= SECONDS_OF_SAMPLES
