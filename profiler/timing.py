"""Seconds of a step: executions without the profiler, the first step of each left out as warm-up."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from profiler.marks import Hooks, OnProgress, WallClock

WANTED_SAMPLES = 3


@dataclass
class Timing:
    """Samples of one step in seconds and their median."""

    samples: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def median_seconds(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


def time_steps(
    execute: Callable[[Hooks], object],
    *,
    on_progress: OnProgress,
    budget_seconds: float,
    synchronize: Callable[[], None] = lambda: None,
) -> Timing:
    """Execute the workload until there are three samples of a warmed-up step, within a budget.

    The process is taken to be warm already: the measured execution came before. Where a workload has
    several steps, the first is left out all the same, since it makes the optimizer's state.
    """
    timing = Timing()
    started = time.perf_counter()
    longest = 0.0
    while len(timing.samples) < WANTED_SAMPLES:
        spent = time.perf_counter() - started
        if spent + longest > budget_seconds:
            timing.notes.append(
                f"step_seconds is from {len(timing.samples)} samples instead of {WANTED_SAMPLES}: "
                f"more would pass the timing budget of {budget_seconds:g} s"
            )
            break
        clock = WallClock(on_progress, synchronize)
        begun = time.perf_counter()
        execute(clock)
        gc.collect()
        longest = max(longest, time.perf_counter() - begun)
        timing.samples += _warm_samples(clock.step_seconds())
    return timing


def _warm_samples(seconds: dict[int, float]) -> list[float]:
    ordered = [seconds[step] for step in sorted(seconds)]
    return ordered[1:] if len(ordered) > 1 else ordered
