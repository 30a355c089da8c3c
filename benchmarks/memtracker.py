"""PyTorch's own tracker on the same workload: torch.distributed._tools.mem_tracker under
FakeTensorMode.

Used as its documentation says: everything built under the fake mode, module, optimizer and inputs
tracked externally.
"""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from planner.request import SimulationRequest
from planner.step import execute, prepare


class _Hooks:
    """Tells the tracker of every new forward pass, as its documentation asks for iterations."""

    def __init__(self, tracker: MemTracker) -> None:
        self._tracker = tracker

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        if phase.endswith("forward"):
            self._tracker.reset_mod_stats()

    def exit(self, phase: str) -> None:
        """End a phase."""


def peak_bytes(request: SimulationRequest) -> int:
    """The tracker's peak of all categories together, on the CPU."""
    with FakeTensorMode():
        job = prepare(request)
        tracker = MemTracker()
        external = [job.model, *(t for t in job.inputs.values() if isinstance(t, torch.Tensor))]
        tracker.track_external(*external, *([job.optimizer] if job.optimizer else []))
        with tracker:
            execute(job, _Hooks(tracker))
        snapshot = tracker.get_tracker_snapshot("peak")
    return int(snapshot[torch.device("cpu")]["Total"])
