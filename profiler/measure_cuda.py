"""Measuring on CUDA: the caching allocator's statistics by phase, and the driver's number."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from profiler import nvml
from profiler.cuda_history import history_of
from profiler.marks import OnProgress
from profiler.measured import Measured, MeasuredPhase
from profiler.outcome import RunOutOfMemory
from profiler.recorded import Recorded
from profiler.timeline import Timeline
from profiler.timing import Step

if TYPE_CHECKING:
    from planner.step import Job

_MAX_HISTORY = 2_000_000
"""Entries of the allocator's history kept for the timeline, about 200 bytes of host memory each."""


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
    """Build and execute the workload on the current CUDA device.

    The allocator must be untouched: call it in a process of its own.

    Args:
        build: makes model, inputs and optimizer; what it returns executes a number of steps.
        on_progress: told the current phase, so that it is known when this process is killed.
    """
    driver = DriverBytes()
    torch.cuda.init()  # type: ignore[no-untyped-call]
    driver.attach()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.memory._record_memory_history(
        enabled="all", context=None, stacks="python", max_entries=_MAX_HISTORY
    )
    phases = AllocatorPhases(on_progress, driver)
    step = build()
    phases.start()
    step(phases, None)
    trace = torch.cuda.memory._snapshot()["device_traces"][torch.cuda.current_device()]
    torch.cuda.memory._record_memory_history(enabled=None)
    return Recorded(
        measured=phases.measured().model_copy(update={"notes": list(driver.notes)}),
        timeline=to_timeline(trace, phases.spans),
        step=step,
        expected_seconds=phases.seconds_of_last_step(),
        synchronize=torch.cuda.synchronize,
        history=history_of(trace, phases.spans) if len(trace) < _MAX_HISTORY else None,
    )


@contextmanager
def device_memory_errors() -> Iterator[None]:
    """Turn the caching allocator's refusal into what it was refused: the device's memory.

    Raises:
        RunOutOfMemory: with the device's capacity as the limit, not the host's.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise RunOutOfMemory(
            str(error).partition("\n")[0][:1000],
            limit_bytes=int(torch.cuda.get_device_properties().total_memory),
            allocated_bytes=torch.cuda.memory_allocated(),
            reserved_bytes=torch.cuda.memory_reserved(),
        ) from error


class DriverBytes:
    """Device memory as the driver shows it: context, libraries and the allocator's segments.

    Make it before anything touches CUDA: the context itself takes hundreds of megabytes.
    """

    def __init__(self) -> None:
        self._used_before = nvml.used_bytes()
        self._uuid = ""
        self.notes: list[str] = []

    def attach(self) -> None:
        """CUDA is initialised: from now on the current device is known."""
        self._uuid = f"GPU-{torch.cuda.get_device_properties().uuid}"

    def now(self) -> int | None:
        """Bytes of this process; where they are not told, what the whole card gained; else None."""
        mine = nvml.process_bytes(self._uuid, os.getpid())
        # In a container the driver may know a stranger by our process id.
        if mine is not None and mine >= torch.cuda.memory_reserved():
            return mine
        used = nvml.used_bytes()
        if self._uuid not in used or self._uuid not in self._used_before:
            self._note("device_bytes is unknown: the driver's library (NVML) does not answer")
            return None
        self._note("device_bytes is what the whole card gained: this process's share is not told")
        return used[self._uuid] - self._used_before[self._uuid]

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


@dataclass(frozen=True)
class _Peaks:
    allocated: int
    reserved: int
    requested: int


class AllocatorPhases:
    """Hooks that read and reset the allocator's peaks at every border of a phase."""

    def __init__(self, on_progress: OnProgress, driver: DriverBytes) -> None:
        self._on_progress = on_progress
        self._driver = driver
        self._phases: list[MeasuredPhase] = []
        self._between: list[_Peaks] = []
        self._device_bytes: int | None = None
        self._start_bytes = 0
        self.spans: list[tuple[str, int, int]] = []

    def start(self) -> None:
        """Everything is built: what follows counts. What building left in the allocator's cache
        is given back: how a model is made differs from script to script.
        """
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self._start_bytes = torch.cuda.memory_allocated()
        self._peaks_since_last()

    def built(self, job: Job) -> None:
        """`start` does it."""

    def enter(self, phase: str) -> None:
        """Begin a phase; what happened between two phases counts for the peak all the same."""
        self._on_progress({"phase": phase})
        self._between.append(self._peaks_since_last())
        self.spans.append((phase, time.time_ns(), 0))

    def exit(self, phase: str) -> None:
        """End a phase. The device is waited for, so that the time is the phase's own."""
        torch.cuda.synchronize()
        peaks = self._peaks_since_last()
        shown = self._driver.now()
        self._phases.append(
            MeasuredPhase(
                name=phase,
                peak_bytes=peaks.allocated,
                end_bytes=torch.cuda.memory_allocated(),
                reserved_bytes=peaks.reserved,
                requested_bytes=peaks.requested,
                device_bytes=shown,
            )
        )
        if shown is not None:
            self._device_bytes = max(self._device_bytes or 0, shown)
        name, start, _ = self.spans[-1]
        self.spans[-1] = (name, start, time.time_ns())

    def measured(self) -> Measured:
        """The summary over all phases.

        Raises:
            ValueError: no phase was marked.
        """
        if not self._phases:
            raise ValueError("the workload marked no phase")
        highest = max(self._phases, key=lambda phase: phase.peak_bytes)
        between = max(peaks.allocated for peaks in self._between)
        return Measured(
            peak_bytes=max(highest.peak_bytes, between),
            peak_phase=highest.name,
            phases=self._phases,
            start_bytes=self._start_bytes,
            reserved_bytes=max(phase.reserved_bytes or 0 for phase in self._phases),
            requested_bytes=max(phase.requested_bytes or 0 for phase in self._phases),
            device_bytes=self._device_bytes,
        )

    def seconds_of_last_step(self) -> float:
        """From the first phase of the last step to its end."""
        step = self.spans[-1][0].partition(".")[0]
        same = [span for span in self.spans if span[0].partition(".")[0] == step]
        return (same[-1][2] - same[0][1]) / 1e9

    @staticmethod
    def _peaks_since_last() -> _Peaks:
        stats = torch.cuda.memory_stats()
        torch.cuda.reset_peak_memory_stats()
        return _Peaks(
            allocated=stats["allocated_bytes.all.peak"],
            reserved=stats["reserved_bytes.all.peak"],
            requested=stats["requested_bytes.all.peak"],
        )


_LIVE = {"alloc": 1, "free_requested": -1}
_RESERVED = {"segment_alloc": 1, "segment_map": 1, "segment_free": -1, "segment_unmap": -1}


def to_timeline(trace: list[dict[str, Any]], spans: list[tuple[str, int, int]]) -> Timeline:
    """Requested bytes after each `alloc` and `free_requested` entry of the allocator's history, and
    the bytes of its segments then.
    """
    kept = [entry for entry in trace if entry["action"] in _LIVE or entry["action"] in _RESERVED]
    time_ns = np.array([entry["time_us"] * 1000 for entry in kept], np.int64)
    live = _running(kept, _LIVE)
    reserved = _running(kept, _RESERVED)
    shown = np.array([entry["action"] in _LIVE for entry in kept], np.bool_)
    time_ns = time_ns[shown]
    origin = min([start for _, start, _ in spans] + time_ns[:1].tolist(), default=0)
    return Timeline(
        time_ns=time_ns - origin,
        live_bytes=live[shown],
        phases=[(name, start - origin, end - origin) for name, start, end in spans],
        reserved_bytes=reserved[shown],
    )


def _running(trace: list[dict[str, Any]], sign: dict[str, int]) -> npt.NDArray[np.int64]:
    delta = [sign.get(entry["action"], 0) * entry["size"] for entry in trace]
    return np.cumsum(np.array(delta, np.int64))
