"""Blocks of device memory, and the two pools that keep the free ones in best-fit order."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from operator import attrgetter

ADDRESS_BITS = 64


@dataclass(slots=True, eq=False)
class ExpandableSegment:
    """A range of addresses, of which whole pages are backed by memory (mapped) on demand."""

    address: int
    size_bytes: int
    page_bytes: int

    def whole_pages(self, size_bytes: int) -> int:
        """Bytes of the pages that so many bytes from a page's start touch."""
        return -(-size_bytes // self.page_bytes) * self.page_bytes

    def pages_inside(self, start: int, end: int) -> tuple[int, int]:
        """Addresses of the first page and of the end of the last page that lie in the range."""
        first = -(-(start - self.address) // self.page_bytes) * self.page_bytes
        last = (end - self.address) // self.page_bytes * self.page_bytes
        return self.address + first, self.address + max(first, last)


@dataclass(slots=True, eq=False)
class Block:
    """A part of a segment: in use, free, or (in an expandable segment) without memory.

    `prev` and `next` are its neighbours in the segment.
    """

    address: int
    size_bytes: int
    pool: Pool
    segment: ExpandableSegment | None = None
    prev: Block | None = None
    next: Block | None = None
    mapped: bool = True
    allocated: bool = False
    requested_bytes: int = 0
    freed_at: int = 0  # the pool's `searches` when the block became free

    def insert_between(self, before: Block | None, after: Block | None) -> None:
        """Make the block the neighbour of two others."""
        self.prev, self.next = before, after
        if before is not None:
            before.next = self
        if after is not None:
            after.prev = self


@dataclass(slots=True, eq=False)
class Pool:
    """The free blocks of small or of large segments, ordered by size, then age of their segment,
    then address (torch 2.13's order).

    Addresses grow with the age of segments, so that one number, size and address, has that order.
    """

    small: bool
    keys: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    unmapped: list[Block] = field(default_factory=list)  # by address
    searches: int = 0  # counted only where garbage is collected

    def at_least(self, size_bytes: int) -> int:
        """Position of the smallest free block of this size or more."""
        return bisect_left(self.keys, size_bytes << ADDRESS_BITS)

    def add(self, block: Block) -> None:
        """Keep a block that became free."""
        block.freed_at = self.searches
        key = block.size_bytes << ADDRESS_BITS | block.address
        position = bisect_left(self.keys, key)
        self.keys.insert(position, key)
        self.blocks.insert(position, block)

    def remove(self, block: Block) -> None:
        """Forget a free block, whose size and address are still those it was added with."""
        self.take(bisect_left(self.keys, block.size_bytes << ADDRESS_BITS | block.address))

    def take(self, position: int) -> Block:
        """Remove and return the free block at this position."""
        del self.keys[position]
        return self.blocks.pop(position)

    def add_unmapped(self, block: Block) -> None:
        """Keep a block of addresses without memory."""
        insort(self.unmapped, block, key=attrgetter("address"))

    def age(self, block: Block) -> int:
        """How many searches of the pool the block has been free for."""
        return self.searches - block.freed_at


def merge(block: Block, neighbour: Block | None) -> int:
    """Take in a neighbour that is alike (free or unmapped); the bytes taken in, or 0.

    The neighbour leaves its pool; the block must be in none.
    """
    if neighbour is None or neighbour.allocated or neighbour.mapped != block.mapped:
        return 0
    if neighbour.mapped:
        neighbour.pool.remove(neighbour)
    else:
        neighbour.pool.unmapped.remove(neighbour)
    if neighbour is block.prev:
        block.address = neighbour.address
        block.insert_between(neighbour.prev, block.next)
    else:
        block.insert_between(block.prev, neighbour.next)
    block.size_bytes += neighbour.size_bytes
    return neighbour.size_bytes
