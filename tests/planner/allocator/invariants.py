"""What holds of the allocator at any time, whatever was asked of it."""

from __future__ import annotations

from itertools import pairwise

from planner.allocator import CachingAllocator, snapshot_of


def check_allocator(allocator: CachingAllocator) -> None:
    """Blocks tile segments without overlap, free neighbours are one, sums are the statistics."""
    segments = snapshot_of(allocator)["segments"]
    for before, after in pairwise(segments):
        assert before["address"] + before["total_size"] <= after["address"]
    free, split = 0, 0
    for segment in segments:
        address = segment["address"]
        for block in segment["blocks"]:
            assert block["address"] == address
            assert block["size"] > 0
            assert block["size"] % 512 == 0
            assert block["requested_size"] <= block["size"]
            address += block["size"]
            if block["state"] == "inactive":
                free += 1
                split += block["size"] * (
                    not segment["is_expandable"] and block["size"] < segment["total_size"]
                )
        assert address == segment["address"] + segment["total_size"]
        states = [block["state"] for block in segment["blocks"]]
        assert ("inactive", "inactive") not in list(pairwise(states))
    assert free == len(allocator.small.blocks) + len(allocator.large.blocks)
    assert split == allocator.inactive_split_bytes
    assert sum(segment["total_size"] for segment in segments) == allocator.reserved_bytes
    assert sum(segment["allocated_size"] for segment in segments) == allocator.allocated_bytes
    assert sum(segment["requested_size"] for segment in segments) == allocator.requested_bytes
    assert allocator.reserved_bytes <= allocator.memory.peak_reserved_bytes
    assert allocator.reserved_bytes <= allocator.memory.capacity_bytes
    for pool in (allocator.small, allocator.large):
        assert pool.keys == sorted(pool.keys)
