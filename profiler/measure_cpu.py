"""Measuring on the CPU: live bytes from the allocator, then seconds without the profiler."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from planner.allocations import Allocations, Mark, record_allocations
from profiler.marks import PREFIX, OnProgress, TraceMarks
from profiler.measured import Measured, MeasuredPhase
from profiler.recorded import Recorded
from profiler.timeline import Timeline
from profiler.timing import Step


def measure(
    build: Callable[[], Step], *, on_progress: OnProgress, timing_budget_seconds: float
) -> tuple[Measured, Timeline]:
    """`record`, then time further steps.

    Args:
        timing_budget_seconds: bound of the executions that serve only `step_seconds`.
    """
    recorded = record(build, on_progress=on_progress)
    return recorded.timed(on_progress, timing_budget_seconds), recorded.timeline


def record(build: Callable[[], Step], *, on_progress: OnProgress) -> Recorded:
    """Build and execute the workload under the allocator's recording.

    The recording starts from zero before anything is built: parameters count as allocated.

    Args:
        build: makes model, inputs and optimizer; what it returns executes a number of steps.
        on_progress: told the current phase, so that it is known when this process is killed.
    """
    with record_allocations() as recorded:
        step = build()
        step(TraceMarks(on_progress), None)
    return Recorded(
        measured=summarise(recorded),
        timeline=to_timeline(recorded),
        step=step,
        expected_seconds=_seconds_of_last_step(recorded),
    )


def summarise(recorded: Allocations) -> Measured:
    """Peak and end of each phase, and the peak from the first one's begin to the last one's end.

    Raises:
        ValueError: no phase was marked.
    """
    marks = _phase_marks(recorded)
    if not marks:
        raise ValueError("the workload marked no phase")
    live = np.concatenate(([0], recorded.live_bytes()))
    phases = [_phase(recorded.time_ns, live, mark) for mark in marks]
    first = int(np.searchsorted(recorded.time_ns, marks[0].start_ns, side="left"))
    last = int(np.searchsorted(recorded.time_ns, max(mark.end_ns for mark in marks), side="right"))
    peak_index = first + int(np.argmax(live[first : last + 1]))
    return Measured(
        peak_bytes=int(live[peak_index]),
        peak_phase=_name_at(recorded.time_ns, marks, peak_index),
        phases=phases,
        start_bytes=int(live[first]),
    )


def to_timeline(recorded: Allocations) -> Timeline:
    """The live bytes after every event, beside the phases, in nanoseconds from the first event."""
    marks = _phase_marks(recorded)
    starts = [mark.start_ns for mark in marks] + [int(time) for time in recorded.time_ns[:1]]
    origin = min(starts, default=0)
    return Timeline(
        time_ns=recorded.time_ns - origin,
        live_bytes=recorded.live_bytes(),
        phases=[(mark.name, mark.start_ns - origin, mark.end_ns - origin) for mark in marks],
    )


def _phase_marks(recorded: Allocations) -> list[Mark]:
    """The phases in order, without the marks that torch makes by itself."""
    phases = [
        Mark(mark.name.removeprefix(PREFIX), mark.start_ns, mark.end_ns)
        for mark in recorded.marks
        if mark.name.startswith(PREFIX)
    ]
    return sorted(phases, key=lambda mark: mark.start_ns)


def _phase(
    time_ns: npt.NDArray[np.int64], live: npt.NDArray[np.int64], mark: Mark
) -> MeasuredPhase:
    # live[i] holds before event i and after event i - 1.
    first = int(np.searchsorted(time_ns, mark.start_ns, side="left"))
    last = int(np.searchsorted(time_ns, mark.end_ns, side="right"))
    return MeasuredPhase(
        name=mark.name,
        peak_bytes=int(live[first : last + 1].max()),
        end_bytes=int(live[last]),
    )


def _name_at(time_ns: npt.NDArray[np.int64], marks: list[Mark], index: int) -> str:
    """The phase of event `index - 1`; between two phases, the one before."""
    if index == 0:
        return marks[0].name
    moment = int(time_ns[index - 1])
    begun = [mark for mark in marks if mark.start_ns <= moment]
    return begun[-1].name if begun else marks[0].name


def _seconds_of_last_step(recorded: Allocations) -> float:
    marks = _phase_marks(recorded)
    step = marks[-1].name.partition(".")[0]
    same = [mark for mark in marks if mark.name.partition(".")[0] == step]
    return (same[-1].end_ns - same[0].start_ns) / 1e9
