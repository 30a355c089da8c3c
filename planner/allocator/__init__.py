"""PyTorch's CUDA caching allocator without a GPU: what a workload reserves, and whether it fits.

The choices are those of torch 2.13's native allocator for one stream. Older releases order free
blocks of one size by address instead of by the age of their segment. Not simulated: several
streams, CUDA graphs and private pools, the cudaMallocAsync backend, pinned host memory, and what
the driver itself adds (its context, the granularity of cudaMalloc, fragmentation of physical
memory); give `capacity_bytes` without the context.
"""

from planner.allocator.caching import CachingAllocator
from planner.allocator.replay import OutOfMemory, Replay, replay
from planner.allocator.settings import AllocatorSettings
from planner.allocator.snapshot import Snapshot, snapshot_of

__all__ = [
    "AllocatorSettings",
    "CachingAllocator",
    "OutOfMemory",
    "Replay",
    "Snapshot",
    "replay",
    "snapshot_of",
]
