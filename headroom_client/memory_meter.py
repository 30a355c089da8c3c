"""Measuring what a stretch of somebody's training script takes."""

from __future__ import annotations

import platform
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from planner.allocations import Allocations, record_allocations


class MemoryMeter:
    """Peak memory between `start` and `stop`, as PyTorch's allocators report it.

    On CUDA, `torch.cuda.max_memory_allocated` and `max_memory_reserved`. On the CPU, what the
    allocator reports to PyTorch's profiler, over the bytes of parameters, buffers and optimizer
    state that were there before; the batch at hand, made before, is not seen.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._recording: ExitStack | None = None
        self._allocations: Allocations | None = None
        self._start_bytes = 0
        self._found: dict[str, Any] | None = None
        self.notes: list[str] = []

    @property
    def device_name(self) -> str:
        """Of the card, or the processor."""
        if self._device.type == "cuda":
            return torch.cuda.get_device_name(self._device)
        return platform.processor() or platform.machine()

    def start(self, model: nn.Module, optimizer: Any) -> None:
        """Begin to measure."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._recording = ExitStack()
            return
        if self._device.type != "cpu":
            self.notes.append(f"memory of a {self._device.type} device is not measured")
            return
        self._start_bytes = _bytes_held(model, optimizer)
        stack = ExitStack()
        try:
            self._allocations = stack.enter_context(record_allocations())
        except RuntimeError as error:  # another profiler is at work
            self.notes.append(f"the CPU's allocations could not be recorded: {error}")
            return
        self._recording = stack

    def stop(self) -> None:
        """End the measurement; a second time does nothing."""
        if self._recording is None:
            return
        self._recording.close()
        self._recording = None
        if self._device.type == "cuda":
            self._found = {
                "peak_bytes": torch.cuda.max_memory_allocated(self._device),
                "reserved_bytes": torch.cuda.max_memory_reserved(self._device),
            }
        elif self._allocations is not None and len(self._allocations.delta_bytes):
            grown = int(self._allocations.live_bytes().max())
            self._found = {"peak_bytes": self._start_bytes + max(grown, 0)}

    def measured(self) -> dict[str, Any] | None:
        """What was found, as `POST /v1/runs` takes it; None where nothing was."""
        return None if self._found is None else {**self._found, "notes": self.notes}


def _bytes_held(model: nn.Module, optimizer: Any) -> int:
    """Bytes of the storages of parameters, gradients, buffers and optimizer state, each once."""
    tensors = [*model.parameters(), *model.buffers()]
    tensors += [each.grad for each in model.parameters() if each.grad is not None]
    for state in getattr(optimizer, "state", {}).values():
        tensors += [value for value in state.values() if isinstance(value, Tensor)]
    storages = [each.untyped_storage() for each in tensors]
    return sum({each.data_ptr(): each.nbytes() for each in storages}.values())
