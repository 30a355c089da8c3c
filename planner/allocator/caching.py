"""PyTorch's CUDA caching allocator, decision for decision, on addresses instead of memory.

Follows torch 2.13's `c10/cuda/CUDACachingAllocator.cpp`; names in backquotes are its own.
"""

from __future__ import annotations

import math

from planner.allocator.blocks import Block, Pool, merge
from planner.allocator.expandable import allocate_expandable, release_expandable
from planner.allocator.memory import DeviceMemory
from planner.allocator.settings import (
    MIN_BLOCK_BYTES,
    SMALL_BYTES,
    SMALL_SEGMENT_BYTES,
    UNLIMITED_BYTES,
    AllocatorSettings,
)


class CachingAllocator:
    """Serves requests from cached blocks, and from the device where none fits.

    One stream: no block waits for another stream, so what is active is what is allocated. CUDA
    graphs and private pools are not simulated, nor callbacks that free memory on failure.
    """

    def __init__(
        self,
        settings: AllocatorSettings | None = None,
        capacity_bytes: int | None = None,
        total_bytes: int | None = None,
    ) -> None:
        """An empty allocator.

        Args:
            settings: torch's defaults if None.
            capacity_bytes: what the device can give this allocator; None: as much as it asks.
            total_bytes: the device's memory, of which `per_process_memory_fraction` is a share;
                None: `capacity_bytes`.

        Raises:
            ValueError: `capacity_bytes` is more than `total_bytes`.
        """
        self.memory = DeviceMemory(capacity_bytes, total_bytes)
        self.small, self.large = Pool(small=True), Pool(small=False)
        self.active: set[Block] = set()
        self.allocated_bytes = 0
        self.requested_bytes = 0
        self.inactive_split_bytes = 0
        self.segments = 0
        self.num_alloc_retries = 0
        self.num_ooms = 0
        self.num_oom_rejections = 0
        self.configure(settings or AllocatorSettings())

    def configure(self, settings: AllocatorSettings) -> None:
        """Take other settings from now on (`torch.cuda.memory._set_allocator_settings`)."""
        self.settings = settings
        self._rounded: dict[int, int] = {}
        self._max_split_bytes = settings.max_split_bytes
        self._expandable = settings.expandable_segments
        fraction, total_bytes = settings.per_process_memory_fraction, self.memory.total_bytes
        self._allowed_bytes = math.floor(fraction * total_bytes + 0.5) if fraction < 1 else None
        self._collects = fraction < 1 and settings.garbage_collection_threshold > 0

    @property
    def reserved_bytes(self) -> int:
        """What the allocator holds of the device, in use or cached."""
        return self.memory.reserved_bytes

    def pool_of(self, block_bytes: int) -> Pool:
        """The pool that serves blocks of this size."""
        return self.small if block_bytes <= SMALL_BYTES else self.large

    def blocks(self) -> list[Block]:
        """All blocks with memory, in no order (`get_all_blocks`)."""
        return [*self.small.blocks, *self.large.blocks, *self.active]

    def malloc(self, requested_bytes: int) -> Block | None:
        """A block for a request of at least one byte; None where the device is out of memory."""
        size_bytes = self._rounded.get(requested_bytes, 0)
        if not size_bytes:
            size_bytes = self._rounded[requested_bytes] = self.settings.rounded(requested_bytes)
        pool = self.pool_of(size_bytes)
        block = self._cached(pool, size_bytes) or self._grown(pool, size_bytes)
        if block is None:
            return None
        block = self._cut(block, size_bytes)
        block.allocated = True
        block.requested_bytes = requested_bytes
        self.active.add(block)
        self.allocated_bytes += block.size_bytes
        self.requested_bytes += requested_bytes
        if self.memory.history is not None:
            self.memory.record("alloc", block.address, requested_bytes)
        return block

    def free(self, block: Block) -> None:
        """Take a block back and join it with its free neighbours."""
        if self.memory.history is not None:
            self.memory.record("free_requested", block.address, block.requested_bytes)
            self.memory.record("free_completed", block.address, block.requested_bytes)
        self.active.remove(block)
        block.allocated = False
        self.allocated_bytes -= block.size_bytes
        self.requested_bytes -= block.requested_bytes
        block.requested_bytes = 0
        joined_bytes = 0
        if block.prev is not None:
            joined_bytes += merge(block, block.prev)
        if block.next is not None:
            joined_bytes += merge(block, block.next)
        block.pool.add(block)
        if block.segment is None:
            split = block.prev is not None or block.next is not None
            self.inactive_split_bytes += (block.size_bytes if split else 0) - joined_bytes

    def empty_cache(self) -> None:
        """Return every segment that is wholly free, and every free page of expandable ones."""
        for pool in (self.large, self.small):
            expandable = []
            for block in list(pool.blocks):
                if block.segment is not None:
                    expandable.append(block)
                elif block.prev is None and block.next is None:
                    self._release(block)
            for block in expandable:
                release_expandable(self.memory, block)

    def _cached(self, pool: Pool, size_bytes: int) -> Block | None:
        """The best fit among the pool's free blocks, taken out of it (`get_free_block`)."""
        if self._collects:
            pool.searches += 1
        position = pool.at_least(size_bytes)
        if position == len(pool.blocks):
            return None
        if pool.blocks[position].segment is not None:
            position = self._past_expandable(pool, position)
            if position == len(pool.blocks):
                return None
        found_bytes, max_split_bytes = pool.blocks[position].size_bytes, self._max_split_bytes
        if found_bytes >= max_split_bytes:  # oversize: for requests of about its own size only
            if size_bytes < max_split_bytes:
                return None
            if found_bytes >= size_bytes + self.settings.max_non_split_rounding_bytes:
                return None
        return pool.take(position)

    def _past_expandable(self, pool: Pool, position: int) -> int:
        """The block to take where the best fit lies in an expandable segment."""
        blocks = pool.blocks
        if not self._expandable:  # switched off since: only fixed segments will do
            while position < len(blocks) and blocks[position].segment is not None:
                position += 1
            return position
        # A block that can grow counts as large as it can become.
        while (
            position + 1 < len(blocks)
            and blocks[position].segment is not None
            and _reach(blocks[position + 1]) < _reach(blocks[position])
        ):
            position += 1
        return position

    def _cut(self, block: Block, size_bytes: int) -> Block:
        """The block, or its first part if it should be split; the rest goes back to the pool."""
        pool, segment = block.pool, block.segment
        is_split = block.prev is not None or block.next is not None
        rest_bytes = block.size_bytes - size_bytes
        if pool.small or self._expandable:
            cut = rest_bytes >= MIN_BLOCK_BYTES
        else:
            cut = rest_bytes > SMALL_BYTES and size_bytes < self._max_split_bytes
        if not cut:
            if is_split and segment is None:
                self.inactive_split_bytes -= block.size_bytes
            return block
        first = Block(block.address, size_bytes, pool, segment, block.prev, block)
        if block.prev is not None:
            block.prev.next = first
        block.prev = first
        block.address += size_bytes
        block.size_bytes = rest_bytes
        pool.add(block)
        if segment is None:
            self.inactive_split_bytes += -size_bytes if is_split else rest_bytes
        return first

    def _grown(self, pool: Pool, size_bytes: int) -> Block | None:
        """A block from the device; cached memory is given up for it where there is too little."""
        if self._collects:
            self._collect_garbage()
        segment_bytes = self.settings.segment_bytes(size_bytes)
        if self._is_rejected(segment_bytes):
            self.num_oom_rejections += 1
            return None
        block = self._from_device(pool, size_bytes, segment_bytes)
        if block is None and self._release_oversize(pool, size_bytes):
            block = self._from_device(pool, size_bytes, segment_bytes)
        if block is None:
            self.empty_cache()
            self.num_alloc_retries += 1
            block = self._from_device(pool, size_bytes, segment_bytes)
        if block is None:
            self.num_ooms += 1
            self.memory.record("oom", self.memory.free_bytes, size_bytes)
        return block

    def _is_rejected(self, segment_bytes: int) -> bool:
        """Whether `throw_on_cudamalloc_oom` refuses before anything is tried."""
        if not self.settings.throw_on_cudamalloc_oom or not self._is_allowed(segment_bytes):
            return False
        share_bytes = int(self.settings.per_process_memory_fraction * self.memory.total_bytes)
        return self.reserved_bytes + segment_bytes > share_bytes

    def _is_allowed(self, segment_bytes: int) -> bool:
        allowed_bytes = self._allowed_bytes
        return allowed_bytes is None or self.reserved_bytes + segment_bytes <= allowed_bytes

    def _from_device(self, pool: Pool, size_bytes: int, segment_bytes: int) -> Block | None:
        """A block of new memory (`alloc_block`)."""
        if not self._is_allowed(segment_bytes):
            return None
        if self._expandable:
            page_bytes = SMALL_SEGMENT_BYTES if pool.small else self.settings.large_segment_bytes
            return allocate_expandable(self.memory, pool, size_bytes, page_bytes)
        address = self.memory.malloc(segment_bytes)
        if address is None:
            return None
        self.segments += 1
        return Block(address, segment_bytes, pool)

    def _release(self, block: Block) -> None:
        """Return a wholly free segment to the device (`release_block`)."""
        block.pool.remove(block)
        self.memory.free(block.address, block.size_bytes)
        self.segments -= 1

    def _release_oversize(self, pool: Pool, size_bytes: int) -> bool:
        """Return one oversize block that is large enough, or else several, largest first
        (`release_available_cached_blocks`).
        """
        if self._max_split_bytes == UNLIMITED_BYTES:
            return False
        wanted_bytes = max(size_bytes, self._max_split_bytes)
        position = pool.at_least(wanted_bytes)
        if position < len(pool.blocks) and pool.blocks[position].segment is None:
            self._release(pool.blocks[position])
            return True
        released_bytes = 0
        for block in pool.blocks[:position][::-1]:
            if released_bytes >= wanted_bytes or block.size_bytes < self._max_split_bytes:
                break
            if block.segment is None:
                released_bytes += block.size_bytes
                self._release(block)
        return released_bytes >= wanted_bytes

    def _collect_garbage(self) -> None:
        """Return large segments that have been free for long (`garbage_collect_cached_blocks`).

        Those older than the mean first; again with the mean of the rest, until enough is free.
        """
        assert self._allowed_bytes is not None
        threshold_bytes = int(self.settings.garbage_collection_threshold * self._allowed_bytes)
        wanted_bytes = self.reserved_bytes - threshold_bytes
        pool = self.large
        whole = [block for block in pool.blocks if block.prev is None and block.next is None]
        total_age, count = sum(map(pool.age, whole)), len(whole)
        freed = True
        while wanted_bytes > 0 and freed and count:
            mean_age, freed = total_age / count, False
            for block in list(pool.blocks):
                is_whole = block.prev is None and block.next is None and block.segment is None
                if is_whole and pool.age(block) >= mean_age:
                    freed = True
                    wanted_bytes -= block.size_bytes
                    total_age -= pool.age(block)
                    count -= 1
                    self._release(block)


def _reach(block: Block) -> int:
    """Bytes that a block has or can map right behind itself."""
    following = block.next
    if following is None or following.mapped:
        return block.size_bytes
    return block.size_bytes + following.size_bytes
