"""The allocator's state in the form of `torch.cuda.memory._snapshot()`.

Fields are those of torch 2.13's `torch/cuda/memory.py` and `torch/csrc/cuda/memory_snapshot.cpp`;
`torch.cuda._memory_viz` and pytorch.org/memory_viz read them. Frames are empty.
"""

from __future__ import annotations

from typing import Any, TypedDict

from planner.allocator.blocks import Block
from planner.allocator.caching import CachingAllocator
from planner.allocator.memory import TraceEntry
from planner.allocator.settings import UNLIMITED_BYTES, AllocatorSettings


class BlockInfo(TypedDict):
    """A part of a segment."""

    address: int
    size: int
    requested_size: int
    state: str
    frames: list[dict[str, object]]


class SegmentInfo(TypedDict):
    """A range of addresses with memory behind it; of an expandable segment there may be several."""

    device: int
    address: int
    total_size: int
    allocated_size: int
    active_size: int
    requested_size: int
    stream: int
    segment_type: str
    segment_pool_id: tuple[int, int]
    is_expandable: bool
    frames: list[dict[str, object]]
    blocks: list[BlockInfo]


class Snapshot(TypedDict):
    """All segments in order of address, and what was recorded of the way there."""

    segments: list[SegmentInfo]
    device_traces: list[list[TraceEntry]]
    allocator_settings: dict[str, Any]


def snapshot_of(allocator: CachingAllocator) -> Snapshot:
    """Segments and blocks as they are now, and the history if one was kept."""
    heads = [block for block in allocator.blocks() if block.prev is None or not block.prev.mapped]
    heads.sort(key=lambda block: block.address)
    return Snapshot(
        segments=[_segment(head) for head in heads],
        device_traces=[allocator.memory.history or []],
        allocator_settings=_settings(allocator.settings),
    )


def _segment(head: Block) -> SegmentInfo:
    blocks: list[BlockInfo] = []
    block: Block | None = head
    while block is not None and block.mapped:
        blocks.append(
            BlockInfo(
                address=block.address,
                size=block.size_bytes,
                requested_size=block.requested_bytes,
                state="active_allocated" if block.allocated else "inactive",
                frames=[],
            )
        )
        block = block.next
    used = [info for info in blocks if info["state"] == "active_allocated"]
    allocated_bytes = sum(info["size"] for info in used)
    return SegmentInfo(
        device=0,
        address=head.address,
        total_size=sum(info["size"] for info in blocks),
        allocated_size=allocated_bytes,
        active_size=allocated_bytes,
        requested_size=sum(info["requested_size"] for info in used),
        stream=0,
        segment_type="small" if head.pool.small else "large",
        segment_pool_id=(0, 0),
        is_expandable=head.segment is not None,
        frames=[],
        blocks=blocks,
    )


def _settings(settings: AllocatorSettings) -> dict[str, Any]:
    split = settings.max_split_bytes
    return {
        "max_split_size": -1 if split == UNLIMITED_BYTES else split,  # as torch's int64 shows it
        "garbage_collection_threshold": settings.garbage_collection_threshold,
        "expandable_segments": settings.expandable_segments,
        "roundup_power2_divisions": {
            str(1 << interval): divisions
            for interval, divisions in enumerate(settings.roundup_power2_divisions)
        },
    }
