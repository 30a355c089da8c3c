"""Hooks for `planner.step.run_workload`: what a real run notes when a phase begins and ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from torch.autograd.profiler import record_function

OnProgress = Callable[[dict[str, Any]], None]

_STEP = re.compile(r"step(\d+)\.")


class Hooks(Protocol):
    """What `run_workload` calls around each phase."""

    def enter(self, name: str) -> None:
        """Phase `name` begins."""

    def exit(self, name: str) -> None:
        """Phase `name` ends."""


class TraceMarks:
    """Marks the phases inside the profiler's own trace, on the clock of its memory events."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._open: dict[str, record_function] = {}

    def enter(self, name: str) -> None:
        """Open the mark and say that the phase runs now."""
        self._on_progress({"phase": name})
        scope = record_function(name)
        scope.__enter__()
        self._open[name] = scope

    def exit(self, name: str) -> None:
        """Close the mark."""
        self._open.pop(name).__exit__(None, None, None)


class WallClock:
    """Times steps: a step lasts from its first phase's begin to its last phase's end."""

    def __init__(self, on_progress: OnProgress, synchronize: Callable[[], None]) -> None:
        self._on_progress = on_progress
        self._synchronize = synchronize
        self._span: dict[int, tuple[float, float]] = {}

    def enter(self, name: str) -> None:
        """Note the begin of the phase, and of its step when it is the first."""
        self._on_progress({"phase": name, "timing": True})
        self._note(name)

    def exit(self, name: str) -> None:
        """Note the end of the phase."""
        self._note(name)

    def step_seconds(self) -> dict[int, float]:
        """Seconds by index of the step."""
        return {step: end - start for step, (start, end) in self._span.items()}

    def _note(self, name: str) -> None:
        match = _STEP.match(name)
        if match is None:
            return
        self._synchronize()
        now = time.perf_counter()
        step = int(match[1])
        start, _ = self._span.get(step, (now, now))
        self._span[step] = (start, now)
