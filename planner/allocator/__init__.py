"""PyTorch's CUDA caching allocator without a GPU: what a workload reserves, and whether it fits.

The choices are those of torch 2.13's native allocator for one stream; `LIMITATIONS` says what is
left out. Older releases order free blocks of one size by address instead of by the age of their
segment. Give `capacity_bytes` without what the CUDA context takes.
"""

from planner.allocator.caching import CachingAllocator
from planner.allocator.replay import OutOfMemory, Replay, replay
from planner.allocator.settings import AllocatorSettings
from planner.allocator.snapshot import Snapshot, snapshot_of

__all__ = [
    "LIMITATIONS",
    "AllocatorSettings",
    "CachingAllocator",
    "OutOfMemory",
    "Replay",
    "Snapshot",
    "replay",
    "snapshot_of",
]

LIMITATIONS = (
    "the caching allocator is that of torch 2.13 on one stream: no blocks that wait for other "
    "streams, no CUDA graphs or private pools, no cudaMallocAsync",
    "of the device's memory the allocator's segments count to the byte: not the driver's own "
    "granularity, nor physical memory that it cannot join",
)
