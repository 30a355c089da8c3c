"""What a process asked of the CUDA caching allocator, in the form of a tape's events.

In that form the simulated allocator (`planner.allocator`) can serve it again, so that a deviation
of reserved bytes is told apart: other requests than predicted, or another allocator than simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.tape import Ints


@dataclass(frozen=True, eq=False)
class AllocatorHistory:
    """Every request since the process began, and when it was given back.

    Attributes:
        events: `e >= 0` is the birth of request e, `e < 0` the death of request ~e.
        requested_bytes: of each request, before the allocator's rounding.
        phases: names of the workload's phases.
        phase_events: (phases, 2): first event, end event.
    """

    events: NDArray[np.int32]
    requested_bytes: Ints
    phases: list[str]
    phase_events: Ints

    def phase_at(self, event: int) -> str:
        """The phase that the event is in, or came right before it; `build` before the first."""
        index = int(np.searchsorted(self.phase_events[:, 0], event, side="right")) - 1
        return self.phases[index] if index >= 0 else "build"


def history_of(trace: list[dict[str, Any]], spans: list[tuple[str, int, int]]) -> AllocatorHistory:
    """From the entries of `torch.cuda.memory._snapshot()["device_traces"]`, recorded from the
    allocator's first use on.

    Phases are cut by the clock, which the entries have in microseconds.

    Args:
        spans: name, start and end (nanoseconds since the epoch) of each phase.
    """
    events: list[int] = []
    sizes: list[int] = []
    times: list[int] = []
    held: dict[int, int] = {}
    for entry in trace:
        if entry["action"] == "alloc":
            held[entry["addr"]] = len(sizes)
            events.append(len(sizes))
            sizes.append(entry["size"])
        elif entry["action"] == "free_requested" and entry["addr"] in held:
            events.append(~held.pop(entry["addr"]))
        else:
            continue
        times.append(entry["time_us"] * 1000)
    borders = [(start, end) for _, start, end in spans]
    return AllocatorHistory(
        events=np.array(events, np.int32),
        requested_bytes=np.array(sizes, np.int64),
        phases=[name for name, _, _ in spans],
        phase_events=np.searchsorted(np.array(times, np.int64), np.array(borders).reshape(-1, 2)),
    )
