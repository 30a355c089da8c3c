"""Expandable segments: blocks that grow into unmapped addresses page by page.

Follows `ExpandableSegment` and `try_allocate_expandable_block` of torch 2.13's
`c10/cuda/CUDACachingAllocator.cpp`.
"""

from __future__ import annotations

from planner.allocator.blocks import Block, ExpandableSegment, Pool, merge
from planner.allocator.memory import DeviceMemory


def allocate_expandable(
    memory: DeviceMemory, pool: Pool, size_bytes: int, page_bytes: int
) -> Block | None:
    """A block of at least this size, in no pool, at the lowest address where it fits.

    None where memory is out; pages mapped on the way then stay, free.
    """
    block = _lowest_room(memory, pool, size_bytes, page_bytes)
    if not block.mapped and not _map(memory, block, min(block.size_bytes, size_bytes)):
        return None
    while block.size_bytes < size_bytes:
        # free -> unmapped -> ...: mapping some of the unmapped merges it with the free one
        following = block.next
        assert following is not None
        missing = size_bytes - block.size_bytes
        if not _map(memory, following, min(missing, following.size_bytes)):
            return None
        block = following
    pool.remove(block)
    return block


def release_expandable(memory: DeviceMemory, block: Block) -> None:
    """Return the memory of every whole page of a free block."""
    pool, segment = block.pool, block.segment
    assert segment is not None
    start, end = segment.pages_inside(block.address, block.address + block.size_bytes)
    if start == end:
        return
    pool.remove(block)
    before_bytes, after_bytes = start - block.address, block.address + block.size_bytes - end
    if before_bytes:
        before = Block(block.address, before_bytes, pool, segment)
        before.insert_between(block.prev, block)
        pool.add(before)
    if after_bytes:
        after = Block(end, after_bytes, pool, segment)
        after.insert_between(block, block.next)
        pool.add(after)
    block.address, block.size_bytes, block.mapped = start, end - start, False
    merge(block, block.prev)
    merge(block, block.next)
    memory.unmap(start, end - start)
    if block.prev is not None or block.next is not None:
        pool.add_unmapped(block)  # else the segment is empty, and its addresses are given up


def _lowest_room(memory: DeviceMemory, pool: Pool, size_bytes: int, page_bytes: int) -> Block:
    """The first block of the lowest run of free and unmapped blocks that is long enough; a new
    segment where there is none.
    """
    for block in pool.unmapped:
        first = block.prev if block.prev is not None and not block.prev.allocated else block
        if _has_room(first, size_bytes):
            return first
    # Addresses for 1 1/8 of the device's memory, in whole pages. Where even these are too few, so
    # is the memory, and mapping fails.
    wanted = memory.total_bytes + memory.total_bytes // 8
    reach = -(-wanted // page_bytes) * page_bytes
    segment = ExpandableSegment(memory.reserve_addresses(reach), reach, page_bytes)
    block = Block(segment.address, reach, pool, segment, mapped=False)
    pool.add_unmapped(block)
    return block


def _has_room(block: Block, size_bytes: int) -> bool:
    room_bytes = 0
    following: Block | None = block
    while room_bytes < size_bytes and following is not None and not following.allocated:
        room_bytes += following.size_bytes
        following = following.next
    return room_bytes >= size_bytes


def _map(memory: DeviceMemory, block: Block, size_bytes: int) -> bool:
    """Map the pages that the first bytes of an unmapped block touch, and make them free."""
    pool, segment = block.pool, block.segment
    assert segment is not None
    mapped_bytes = segment.whole_pages(size_bytes)
    if not memory.map(block.address, mapped_bytes):
        return False
    pool.unmapped.remove(block)
    block.mapped = True
    if mapped_bytes < block.size_bytes:
        rest = Block(block.address + mapped_bytes, block.size_bytes - mapped_bytes, pool, segment)
        rest.mapped = False
        rest.insert_between(block, block.next)
        pool.add_unmapped(rest)
        block.size_bytes = mapped_bytes
    merge(block, block.prev)
    merge(block, block.next)
    pool.add(block)
    return True
