"""Room in memory for another step in a process that has executed one already."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

import psutil
import torch

from planner.quantities import format_bytes
from profiler.limits import Limits, host_memory_bytes
from profiler.outcome import RunOutOfMemory


def require_room(expected_bytes: int | None, device_kind: str, limits: Limits) -> None:
    """Begin nothing that the kernel might answer with a kill: that would lose earlier results.

    Args:
        expected_bytes: what the step is expected to hold; None: up to all that it may.

    Raises:
        RunOutOfMemory: it will not fit.
    """
    limit = limits.memory_bytes
    if device_kind != "cpu" or limit is None:
        return  # the caching allocator raises an error that can be caught
    if expected_bytes is not None and expected_bytes > limit:
        raise RunOutOfMemory(
            f"the unplanned step would hold {format_bytes(expected_bytes)}, more than the "
            f"{format_bytes(limit)} that a run may take"
        )
    # Up to the limit an allocation fails with an error; beyond what the host has, it kills.
    needed = limit if expected_bytes is None else expected_bytes
    available = available_bytes()
    if needed > available:
        raise RunOutOfMemory(
            f"the unplanned step may hold {format_bytes(needed)}, and the host has "
            f"{format_bytes(available)} left"
        )


def available_bytes() -> int:
    """Memory that this process can still get."""
    own = host_memory_bytes() - int(psutil.Process().memory_info().rss)
    return max(0, min(int(psutil.virtual_memory().available), own))


def release_memory(device_kind: str) -> None:
    """Give back what a finished step left, so that the next one has all of the limit."""
    gc.collect()
    if device_kind == "cuda":
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
