"""A tape as a CUDA device's caching allocator serves it: what is reserved, and whether it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.allocator import LIMITATIONS, AllocatorSettings, OutOfMemory, Replay
from planner.allocator import replay as replay_events
from planner.devices import DeviceProfile
from planner.simulation import phase_at, storage_label
from planner.tape import Tape

_DEPENDS = (
    "whether it fits depends on what the driver's context takes, which is known within a range "
    "only: a worker of this device measures it"
)


def served(tape: Tape, device: DeviceProfile) -> Tape:
    """The tape with the allocator's blocks in place of its storages' bytes, and what is reserved.

    Live bytes are then what `torch.cuda.memory_allocated()` counts: blocks, rounding included.
    `meta["memory"]` says whether the device can serve every request: `fits` (None where that
    depends on the size of the context) and, where it cannot, `out_of_memory`.

    A workload that does not fit is shown as on a device with memory enough.
    """
    settings = AllocatorSettings.parse(device.allocator or "")
    shown = _replay(tape, device, settings, most_context=True)
    failed = shown.out_of_memory
    fits: bool | None = failed is None
    limitations = list(LIMITATIONS)
    if failed is not None:
        shown = replay_events(tape.events, tape.storage_bytes, settings)
        if _replay(tape, device, settings, most_context=False).out_of_memory is None:
            fits = None
            limitations.append(_DEPENDS)
    memory = {
        "fits": fits,
        "out_of_memory": None if failed is None else _said(tape, failed),
    }
    meta = tape.meta | {
        "memory": memory,
        "allocator": device.allocator,
        "limitations": tape.meta["limitations"] + limitations,
    }
    return replace(
        tape, meta=meta, storage_bytes=shown.block_bytes, reserved_bytes=shown.reserved_bytes
    )


def capacity_bytes(device: DeviceProfile, *, most_context: bool) -> int | None:
    """What the device can give the allocator: its memory less what the context takes."""
    if device.memory_bytes is None:
        return None
    context = device.context_bytes
    if context is None:
        return device.memory_bytes
    taken = context.high_bytes if most_context else context.low_bytes
    return max(device.memory_bytes - taken, 0)


def _replay(
    tape: Tape, device: DeviceProfile, settings: AllocatorSettings, *, most_context: bool
) -> Replay:
    capacity = capacity_bytes(device, most_context=most_context)
    return replay_events(tape.events, tape.storage_bytes, settings, capacity, device.memory_bytes)


def _said(tape: Tape, failed: OutOfMemory) -> dict[str, Any]:
    return {
        "phase": phase_at(tape, failed.event),
        "tensor": storage_label(tape, failed.storage),
        "requested_bytes": failed.requested_bytes,
        "free_bytes": failed.free_bytes,
        "allocated_bytes": failed.allocated_bytes,
        "reserved_bytes": failed.reserved_bytes,
        "unallocated_bytes": failed.unallocated_bytes,
    }
