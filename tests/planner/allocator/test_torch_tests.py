"""What PyTorch's own tests of the allocator expect (`test/test_cuda.py`), with their numbers."""

from __future__ import annotations

import random

import pytest

from planner.allocator import AllocatorSettings, CachingAllocator, snapshot_of
from planner.allocator.blocks import Block
from tests.planner.allocator.invariants import check_allocator

MIB = 1 << 20
GIB = 1 << 30
SMALL_SIZE, SMALL_BUFFER, LARGE_BUFFER, MIN_LARGE, ROUND_LARGE = (
    MIB,
    2 * MIB,
    20 * MIB,
    10 * MIB,
    2 * MIB,
)
ROUNDED_LARGE = 12 * MIB  # MIN_LARGE + 512, rounded up to ROUND_LARGE


def allocator_of(conf: str = "", capacity: int | None = None, **more: int) -> CachingAllocator:
    return CachingAllocator(AllocatorSettings.parse(conf), capacity, **more)


def served(allocator: CachingAllocator, size: int) -> Block:
    block = allocator.malloc(size)
    assert block is not None
    return block


def test_memory_allocation():
    """test_memory_allocation: one byte takes memory, and deleting it gives all back."""
    allocator = allocator_of()
    block = served(allocator, 1)
    assert allocator.allocated_bytes == 512
    allocator.free(block)
    assert allocator.allocated_bytes == 0


def test_memory_stats():
    """test_memory_stats: 256 floats are 1 kB of active memory."""
    allocator = allocator_of()
    served(allocator, 256 * 4)
    assert allocator.allocated_bytes == 1024


CLONES = [  # bytes, segments, bytes reserved, the same after empty_cache, then if expandable
    (512, 1, SMALL_BUFFER, SMALL_BUFFER, SMALL_BUFFER, SMALL_BUFFER),
    (SMALL_SIZE, 2, 2 * SMALL_BUFFER, SMALL_BUFFER, 2 * SMALL_BUFFER, SMALL_BUFFER),
    (SMALL_SIZE + 512, 1, LARGE_BUFFER, LARGE_BUFFER, LARGE_BUFFER, LARGE_BUFFER),
    (MIN_LARGE - 512, 2, 2 * LARGE_BUFFER, LARGE_BUFFER, 2 * LARGE_BUFFER, 2 * LARGE_BUFFER),
    (MIN_LARGE + 512, 3, 3 * ROUNDED_LARGE, ROUNDED_LARGE, 2 * LARGE_BUFFER, LARGE_BUFFER),
]


@pytest.mark.parametrize("expandable", [False, True])
@pytest.mark.parametrize("case", CLONES)
def test_graph_memory_stats(case: tuple[int, ...], expandable: bool):
    """test_graph_memory_stats_and_use_result_after_destroy_graph: `b = b.clone() + 1`, five times.

    The test's private pool is an allocator of its own here. Its note says of expandable segments
    that a page with a block on it stays.
    """
    size, segments, reserved, reserved_after, expandable_reserved, expandable_after = case
    allocator = allocator_of(f"expandable_segments:{expandable}")
    kept = served(allocator, size)
    for _ in range(5):
        clone = served(allocator, size)
        result = served(allocator, size)
        allocator.free(clone)
        allocator.free(kept)
        kept = result
    assert allocator.segments == (0 if expandable else segments)
    assert allocator.reserved_bytes == (expandable_reserved if expandable else reserved)
    assert allocator.allocated_bytes == size
    allocator.empty_cache()
    assert allocator.segments == (0 if expandable else 1)
    assert allocator.reserved_bytes == (expandable_after if expandable else reserved_after)
    assert allocator.allocated_bytes == size


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (2 * MIB, [(2097152, "active_allocated"), (18874368, "inactive")]),
        (32 * MIB, [(33554432, "active_allocated"), (8388608, "inactive")]),
    ],
)
def test_expandable_segment_checkpoint_growth(size: int, blocks: list[tuple[int, str]]):
    """test_expandable_segment_checkpoint_growth: a segment of 20 MiB pages, cut exactly."""
    allocator = allocator_of("expandable_segments:True")
    served(allocator, size)
    (segment,) = snapshot_of(allocator)["segments"]
    assert [(block["size"], block["state"]) for block in segment["blocks"]] == blocks


def test_out_of_memory_retry():
    """test_out_of_memory_retry: a second 0.51 of the memory fits once the first is freed."""
    available = 8 * GIB
    allocator = allocator_of(capacity=available)
    first = served(allocator, int(available * 0.51))
    assert allocator.malloc(int(available * 0.51)) is None
    allocator.free(first)
    served(allocator, int(available * 0.51))
    assert (allocator.num_ooms, allocator.num_alloc_retries) == (1, 1)


def test_oom_retry_message_logged_at_info():
    """test_oom_retry_message_logged_at_info: cached blocks are given up for a larger request."""
    free = 16 * GIB
    allocator = allocator_of(capacity=free)
    blocks = [served(allocator, free // 32) for _ in range(27)]
    for block in blocks:
        allocator.free(block)
    served(allocator, int(free * 0.7))
    assert allocator.num_alloc_retries == 1
    assert allocator.num_ooms == 0


def test_set_per_process_memory_fraction():
    """test_set_per_process_memory_fraction: 0.499 of the memory is served, 0.5 is not."""
    total = 16 * GIB
    allocator = allocator_of("per_process_memory_fraction:0.5", total)
    served(allocator, 4096)
    allocator.free(served(allocator, int(total * 0.499) - allocator.reserved_bytes))
    allocator.empty_cache()
    assert allocator.malloc(int(total * 0.5)) is None


def test_max_split_expandable():
    """test_max_split_expandable: cached blocks of both kinds are released for one of 120 MiB."""
    total = 16 * GIB
    fraction = f",per_process_memory_fraction:{120 * MIB / total}"
    fixed = AllocatorSettings.parse("max_split_size_mb:40" + fraction)
    expandable = AllocatorSettings.parse("expandable_segments:True,max_split_size_mb:40" + fraction)
    allocator = CachingAllocator(fixed, total)
    blocks = []
    for settings in (fixed, expandable, fixed):
        allocator.configure(settings)
        blocks.append(served(allocator, 40 * MIB))
    assert allocator.malloc(40 * MIB) is None
    for block in blocks:
        allocator.free(block)
    served(allocator, 120 * MIB)
    assert allocator.reserved_bytes == 120 * MIB


def test_garbage_collect_expandable():
    """test_garbage_collect_expandable: collecting passes over expandable segments."""
    total = 16 * GIB
    rest = f"garbage_collection_threshold:0.5,per_process_memory_fraction:{120 * MIB / total}"
    allocator = allocator_of(rest, total)
    fixed = served(allocator, 40 * MIB)
    allocator.configure(AllocatorSettings.parse("expandable_segments:True," + rest))
    expandable = served(allocator, 40 * MIB)
    allocator.free(fixed)
    allocator.free(expandable)
    served(allocator, 80 * MIB)
    assert allocator.memory.num_device_free == 1  # the fixed one
    assert allocator.num_alloc_retries == 0


@pytest.mark.parametrize(
    ("conf", "floats", "divisions"),
    [
        ("roundup_power2_divisions:4", 21 * MIB, 4),
        ("roundup_power2_divisions:[64:8,128:2,256:2,512:2,1024:1,>:1]", 21 * MIB, 8),
        ("roundup_power2_divisions:[64:8,128:2,256:2,512:2,1024:1,>:1]", 100 * MIB, 2),
        ("garbage_collection_threshold:0.5,max_split_size_mb:40", 21 * MIB, None),
        ("release_lock_on_cudamalloc:True", 21 * MIB, None),
    ],
)
def test_allocator_settings(conf: str, floats: int, divisions: int | None):
    """test_allocator_settings: 84 MB and 400 MB with and without rounding; the test's formula."""
    allocator = allocator_of(conf)
    served(allocator, 4 * floats)
    expected = 4 * floats if divisions is None else power2_div(4 * floats, divisions)
    assert allocator.allocated_bytes == expected
    assert allocator.requested_bytes == 4 * floats


def power2_div(size: int, div_factor: int) -> float:
    """As test_allocator_settings computes it."""
    pow2 = 1
    while pow2 < size:
        pow2 = pow2 * 2
    if pow2 == size:
        return pow2
    step = pow2 / 2 / div_factor
    result = pow2 / 2
    while result < size:
        result = result + step
    return result


@pytest.mark.parametrize("conf", ["", "max_split_size_mb:1024"])
def test_raises_oom(conf: str):
    """test_raises_oom: 4 TiB do not fit, with and without oversize blocks to look for."""
    allocator = allocator_of(conf, 80 * GIB)
    assert allocator.malloc(4 * 1024 * GIB) is None
    assert allocator.num_ooms == 1


def test_throw_on_cudamalloc_oom():
    """test_throw_on_cudamalloc_oom: refused before the device is asked, and counted."""
    allocator = allocator_of("throw_on_cudamalloc_oom:True", 80 * GIB)
    assert allocator.malloc(80 * GIB + MIB) is None
    assert (allocator.num_oom_rejections, allocator.num_alloc_retries) == (1, 0)


@pytest.mark.parametrize("expandable", [False, True])
def test_allocator_fuzz(expandable: bool):
    """test_allocator_fuzz: 2 to 20 MiB, at most 102 MiB at once, the cache emptied at times."""
    source = random.Random(123)
    allocator = allocator_of(f"expandable_segments:{expandable}")
    blocks: list[Block] = []
    for step in range(2000):
        while allocator.requested_bytes >= GIB // 10 or (blocks and source.random() < 0.45):
            allocator.free(blocks.pop(source.randrange(len(blocks))))
        if source.random() < 0.05:
            allocator.empty_cache()
        blocks.append(served(allocator, 4 * source.randrange(2 * MIB // 4, 20 * MIB // 4)))
        if step % 50 == 0:
            check_allocator(allocator)
