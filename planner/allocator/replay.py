"""A tape through the caching allocator: what is reserved after each event, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from planner.allocator.blocks import Block
from planner.allocator.caching import CachingAllocator
from planner.allocator.settings import AllocatorSettings
from planner.allocator.snapshot import Snapshot, snapshot_of
from planner.tape import Ints


@dataclass(frozen=True)
class OutOfMemory:
    """The request that the device could not serve, and how its memory was used at that moment,
    after all cached memory was given up for it.
    """

    event: int
    storage: int
    requested_bytes: int
    segment_bytes: int  # what torch's message calls "Tried to allocate"
    free_bytes: int  # of the capacity
    allocated_bytes: int
    reserved_bytes: int
    largest_free_block_bytes: int  # cached, in the pool that serves the request

    @property
    def unallocated_bytes(self) -> int:
        """Reserved but in no use: lost to fragmentation for this request."""
        return self.reserved_bytes - self.allocated_bytes


@dataclass(frozen=True, eq=False)
class Replay:
    """What the allocator's statistics are after each event; torch's names and meanings.

    Where memory runs out the series end before that event, as the workload does.
    """

    events: NDArray[np.int32]
    storage_bytes: Ints
    settings: AllocatorSettings
    capacity_bytes: int | None
    total_bytes: int | None
    allocated_bytes: Ints  # blocks in use, rounding included
    reserved_bytes: Ints  # segments: what `nvidia-smi` shows, less the context
    requested_bytes: Ints  # what the storages asked for
    block_bytes: Ints  # for each storage, the block that served it; 0 where none did
    inactive_split_bytes: Ints  # free parts of segments in use; not of expandable ones
    peak_reserved_bytes: int  # may be passed within an event
    segments: int  # at the end; expandable ones are not counted, as in torch
    num_alloc_retries: int
    out_of_memory: OutOfMemory | None

    @cached_property
    def peak_allocated_bytes(self) -> int:
        """`torch.cuda.max_memory_allocated()`."""
        return int(self.allocated_bytes.max(initial=0))

    @cached_property
    def peak_requested_bytes(self) -> int:
        """The most bytes that storages held at once."""
        return int(self.requested_bytes.max(initial=0))

    @cached_property
    def unallocated_bytes(self) -> Ints:
        """Reserved but in no use after each event: cached or lost to fragmentation."""
        return self.reserved_bytes - self.allocated_bytes

    def snapshot(self, event: int, *, history: bool = False) -> Snapshot:
        """The allocator after the event, in the form of `torch.cuda.memory._snapshot()`.

        Replays up to there. With `history`, every action until then too, as the timelines of
        `torch.cuda._memory_viz` need them.
        """
        allocator = CachingAllocator(self.settings, self.capacity_bytes, self.total_bytes)
        allocator.memory.history = [] if history else None
        live: dict[int, Block] = {}
        for number in self.events[: event + 1].tolist():
            if not _apply(allocator, live, number, self.storage_bytes):
                break
        return snapshot_of(allocator)


def replay(
    events: NDArray[np.int32] | Sequence[int],
    storage_bytes: Ints | Sequence[int],
    settings: AllocatorSettings | None = None,
    capacity_bytes: int | None = None,
    total_bytes: int | None = None,
) -> Replay:
    """Serve a tape's storages, one request each, until the end or until memory runs out.

    O(events log blocks). Storages of zero bytes ask for nothing.

    Args:
        events: `e >= 0` is the birth of storage e, `e < 0` the death of storage ~e.
        storage_bytes: size of each storage.
        settings: torch's defaults if None.
        capacity_bytes: what the device can give the allocator; None: as much as it asks.
        total_bytes: the device's memory, for what torch counts in shares of it; None:
            `capacity_bytes`.
    """
    settings = settings or AllocatorSettings()
    numbers, sizes = np.asarray(events, dtype=np.int32), np.asarray(storage_bytes, dtype=np.int64)
    allocator = CachingAllocator(settings, capacity_bytes, total_bytes)
    live: dict[int, Block] = {}
    series: list[tuple[int, int, int, int]] = []
    failed = None
    plain_sizes = sizes.tolist()
    blocks = [0] * len(plain_sizes)
    for index, number in enumerate(numbers.tolist()):
        if not _apply(allocator, live, number, plain_sizes):
            failed = _failure(allocator, index, number, plain_sizes[number])
            break
        if number in live:
            blocks[number] = live[number].size_bytes
        series.append(
            (
                allocator.allocated_bytes,
                allocator.memory.reserved_bytes,
                allocator.requested_bytes,
                allocator.inactive_split_bytes,
            )
        )
    allocated, reserved, requested, inactive = np.array(series, dtype=np.int64).reshape(-1, 4).T
    return Replay(
        events=numbers,
        storage_bytes=sizes,
        settings=settings,
        capacity_bytes=capacity_bytes,
        total_bytes=total_bytes,
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        requested_bytes=requested,
        block_bytes=np.array(blocks, dtype=np.int64),
        inactive_split_bytes=inactive,
        peak_reserved_bytes=allocator.memory.peak_reserved_bytes,
        segments=allocator.segments,
        num_alloc_retries=allocator.num_alloc_retries,
        out_of_memory=failed,
    )


def _apply(
    allocator: CachingAllocator, live: dict[int, Block], event: int, sizes: Ints | list[int]
) -> bool:
    """One birth or death; False where memory is out."""
    if event < 0:
        gone = live.pop(~event, None)
        if gone is not None:
            allocator.free(gone)
        return True
    size_bytes = int(sizes[event])
    if size_bytes == 0:
        return True
    block = allocator.malloc(size_bytes)
    if block is None:
        return False
    live[event] = block
    return True


def _failure(
    allocator: CachingAllocator, event: int, storage: int, requested_bytes: int
) -> OutOfMemory:
    block_bytes = allocator.settings.rounded(requested_bytes)
    pool = allocator.pool_of(block_bytes)
    return OutOfMemory(
        event=event,
        storage=storage,
        requested_bytes=requested_bytes,
        segment_bytes=allocator.settings.segment_bytes(block_bytes),
        free_bytes=allocator.memory.free_bytes,
        allocated_bytes=allocator.allocated_bytes,
        reserved_bytes=allocator.reserved_bytes,
        largest_free_block_bytes=pool.blocks[-1].size_bytes if pool.blocks else 0,
    )
