"""Hooks for `planner.step`: what a real run notes when a phase begins and ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from torch.autograd.profiler import record_function

if TYPE_CHECKING:
    from planner.step import Job

PREFIX = "headroom/"
"""Tells our marks from those that torch itself makes, such as `Optimizer.step#AdamW.step`."""

OnProgress = Callable[[dict[str, Any]], None]


class Hooks(Protocol):
    """What `planner.step` calls around each phase."""

    def built(self, job: Job) -> None:
        """Model, inputs and optimizer exist."""

    def enter(self, phase: str) -> None:
        """A phase begins."""

    def exit(self, phase: str) -> None:
        """The phase ends."""


class TraceMarks:
    """Marks the phases inside the profiler's own trace, on the clock of its memory events."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._open: dict[str, record_function] = {}

    def built(self, job: Job) -> None:
        """Nothing to mark: the first phase follows."""

    def enter(self, phase: str) -> None:
        """Open the mark, and say which phase runs now."""
        self._on_progress({"phase": phase})
        scope = record_function(PREFIX + phase)
        scope.__enter__()  # type: ignore[no-untyped-call]
        self._open[phase] = scope

    def exit(self, phase: str) -> None:
        """Close the mark."""
        self._open.pop(phase).__exit__(None, None, None)


class WallClock:
    """Times from the first phase's begin to the last phase's end."""

    def __init__(self, on_progress: OnProgress, synchronize: Callable[[], None]) -> None:
        self._on_progress = on_progress
        self._synchronize = synchronize
        self._start: float | None = None
        self._end = 0.0

    def built(self, job: Job) -> None:
        """Building is not timed."""

    def enter(self, phase: str) -> None:
        """Start the clock at the first phase."""
        self._on_progress({"phase": phase, "timing": True})
        if self._start is None:
            self._synchronize()
            self._start = time.perf_counter()

    def exit(self, phase: str) -> None:
        """Read the clock; the last reading stands."""
        self._synchronize()
        self._end = time.perf_counter()

    def seconds(self) -> float:
        """Seconds between the two.

        Raises:
            ValueError: no phase was entered.
        """
        if self._start is None:
            raise ValueError("the workload marked no phase")
        return self._end - self._start
