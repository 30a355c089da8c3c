"""What torch's CPU allocator really did: every allocation and release, beside named marks.

The allocator reports to torch's profiler (`ProfiledCPUMemoryReporter`, c10/core/CPUAllocator.cpp).
Only scopes opened by `record_function` are recorded beside them, not every op, so hundreds of
thousands of events cost about a second to collect.

Limitation: the allocator reports only from threads that carry the profiler's state, which are the
recording thread and those that autograd starts for it. An allocation made in another Python thread
is not seen. The reporter remembers the size of what an earlier recording of the same process saw at
an address, so tensors from before a second recording may count when they are released in it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch._C._autograd import (
    _disable_profiler,
    _enable_profiler,
    _KinetoEvent,
    _prepare_profiler,
)
from torch._C._profiler import (
    ProfilerActivity,
    ProfilerConfig,
    ProfilerState,
    RecordScope,
    _ExperimentalConfig,
    _ExtraFields_Allocation,
    _ProfilerEvent,
)

_MEMORY = "[memory]"


@dataclass(frozen=True)
class Mark:
    """A named stretch of the recording, on the clock of the allocations."""

    name: str
    start_ns: int
    end_ns: int
    detail: str = ""


@dataclass
class Allocations:
    """Allocations (positive) and releases (negative) by time, and the marks beside them."""

    time_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    delta_bytes: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    marks: list[Mark] = field(default_factory=list)
    address: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def live_bytes(self) -> npt.NDArray[np.int64]:
        """Live bytes after each event, from zero at the start of the recording."""
        return np.cumsum(self.delta_bytes)


@contextmanager
def record_allocations(detailed: bool = False, collect: bool = True) -> Iterator[Allocations]:
    """Record until the block ends; the yielded object is filled then.

    Tensors that lived before count neither when they were made nor when they are released.

    Args:
        detailed: mark every op, with its operands' shapes, and fill `address`, at many times the
            cost. For people hunting a deviation.
        collect: run the garbage collector first, so that earlier garbage is not released inside.
    """
    if collect:
        gc.collect()
    config = ProfilerConfig(
        ProfilerState.KINETO,
        detailed,  # report_input_shapes
        True,  # profile_memory
        False,  # with_stack
        False,  # with_flops
        False,  # with_modules
        _ExperimentalConfig(),
        "",  # trace_id
    )
    activities = {ProfilerActivity.CPU}
    recorded = Allocations()
    _prepare_profiler(config, activities)
    # The third parameter is missing from torch's stub (torch/_C/_autograd.pyi).
    scopes = set() if detailed else {RecordScope.USER_SCOPE}
    _enable_profiler(config, activities, scopes)  # type: ignore[call-arg]
    try:
        yield recorded
    finally:
        result = _disable_profiler()
        _collect(result.events(), recorded)
        if detailed:
            _collect_addresses(result.experimental_event_tree(), recorded)


def _collect(events: list[_KinetoEvent], into: Allocations) -> None:
    times: list[int] = []
    deltas: list[int] = []
    for event in events:
        name = event.name()
        start = event.start_ns()
        if name == _MEMORY:
            times.append(start)
            deltas.append(event.nbytes())  # type: ignore[attr-defined]  # missing from the stub
        else:
            detail = " ".join(str(shape) for shape in event.shapes() if shape)
            into.marks.append(Mark(name, start, start + event.duration_ns(), detail))
    time_ns = np.array(times, np.int64)
    # Stable: events of one thread come in order, and several can share a nanosecond.
    order = np.argsort(time_ns, kind="stable")
    into.time_ns = time_ns[order]
    into.delta_bytes = np.array(deltas, np.int64)[order]


def _collect_addresses(roots: list[_ProfilerEvent], into: Allocations) -> None:
    found: list[tuple[int, int, int]] = []
    pending = list(reversed(roots))
    while pending:
        event = pending.pop()
        pending += reversed(event.children)
        if isinstance(event.extra_fields, _ExtraFields_Allocation):
            allocation = event.extra_fields
            found.append((event.start_time_ns, allocation.alloc_size, allocation.ptr))
    found.sort(key=lambda entry: entry[0])
    into.time_ns = np.array([time for time, _, _ in found], np.int64)
    into.delta_bytes = np.array([size for _, size, _ in found], np.int64)
    into.address = np.array([address for _, _, address in found], np.uint64)


def peaks_inside(recorded: Allocations) -> dict[str, int]:
    """Most bytes held at once inside each mark, beyond those held when it began."""
    peaks: dict[str, int] = {}
    for mark in recorded.marks:
        first, last = np.searchsorted(recorded.time_ns, [mark.start_ns, mark.end_ns])
        running = np.cumsum(recorded.delta_bytes[first:last])
        peaks[mark.name] = max(int(running.max()), 0) if len(running) else 0
    return peaks
