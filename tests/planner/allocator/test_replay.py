"""Replaying tapes: what holds for every tape, and what torch's own viewers make of a snapshot."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.cuda import _memory_viz

from planner.allocator import AllocatorSettings, CachingAllocator, Replay, replay
from tests.planner.allocator.invariants import check_allocator

MIB = 1 << 20
CONFS = [
    "",
    "max_split_size_mb:20",
    "max_split_size_mb:32,max_non_split_rounding_mb:40",
    "roundup_power2_divisions:4",
    "large_segment_size_mb:48",
    "expandable_segments:True",
    "expandable_segments:True,max_split_size_mb:20",
    "garbage_collection_threshold:0.5,per_process_memory_fraction:0.8",
]
Tapes = tuple[list[int], list[int]]


@st.composite
def tapes(draw: st.DrawFn) -> Tapes:
    """Events and sizes; zero bytes among them, and storages that outlive the tape."""
    size = st.one_of(st.integers(0, 2 * MIB), st.integers(MIB, 30 * MIB), st.just(0))
    sizes = draw(st.lists(size, min_size=1, max_size=40))
    events: list[int] = []
    live: list[int] = []
    for storage in range(len(sizes)):
        while live and draw(st.integers(0, 2)) == 0:
            events.append(~live.pop(draw(st.integers(0, len(live) - 1))))
        events.append(storage)
        live.append(storage)
    return events, sizes


settings = st.sampled_from([AllocatorSettings.parse(conf) for conf in CONFS])
capacities = st.one_of(st.none(), st.integers(2 * MIB, 200 * MIB))


@given(tapes(), settings, capacities)
def test_allocator_is_sound_after_every_event(
    tape: Tapes, chosen: AllocatorSettings, capacity: int | None
):
    allocator = CachingAllocator(chosen, capacity)
    live = {}
    for event in tape[0]:
        if event < 0 and ~event in live:
            allocator.free(live.pop(~event))
        elif event >= 0 and tape[1][event]:
            block = allocator.malloc(tape[1][event])
            if block is not None:
                live[event] = block
        check_allocator(allocator)
        assert set(live.values()) == allocator.active
    for block in live.values():
        allocator.free(block)
    allocator.empty_cache()
    check_allocator(allocator)
    assert allocator.reserved_bytes == 0
    assert allocator.segments == 0


@given(tapes(), settings, capacities)
def test_reserved_holds_allocated_holds_requested(
    tape: Tapes, chosen: AllocatorSettings, capacity: int | None
):
    found = replay(*tape, chosen, capacity)
    assert (found.reserved_bytes >= found.allocated_bytes).all()
    assert (found.allocated_bytes >= found.requested_bytes).all()
    assert (found.inactive_split_bytes <= found.unallocated_bytes).all()
    assert found.peak_reserved_bytes >= found.reserved_bytes.max(initial=0)
    if capacity is not None:
        assert found.peak_reserved_bytes <= capacity


@given(tapes(), settings)
def test_requested_is_what_is_alive(tape: Tapes, chosen: AllocatorSettings):
    events, sizes = tape
    levels = np.cumsum([sizes[event] if event >= 0 else -sizes[~event] for event in events])
    found = replay(events, sizes, chosen)
    assert found.out_of_memory is None
    assert found.requested_bytes.tolist() == levels.tolist()


@given(tapes(), settings, capacities)
def test_same_tape_same_replay(tape: Tapes, chosen: AllocatorSettings, capacity: int | None):
    one, other = replay(*tape, chosen, capacity), replay(*tape, chosen, capacity)
    for name in ("allocated_bytes", "reserved_bytes", "requested_bytes", "inactive_split_bytes"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert one.out_of_memory == other.out_of_memory


@given(tapes(), st.sampled_from(CONFS[:-1]))
def test_capacity_of_the_peak_changes_nothing(tape: Tapes, conf: str):
    free = replay(*tape, AllocatorSettings.parse(conf))
    bound = replay(*tape, AllocatorSettings.parse(conf), free.peak_reserved_bytes)
    assert bound.out_of_memory is None
    assert (bound.reserved_bytes == free.reserved_bytes).all()
    assert bound.num_alloc_retries == 0


def test_out_of_memory_tells_what_was_in_the_way():
    # Two 20 MiB segments, each with a free middle: 22 MiB are free, 12 MiB in a row are not.
    sizes = [5 * MIB, 6 * MIB, 9 * MIB, 5 * MIB, 6 * MIB, 9 * MIB, 12 * MIB]
    found = replay([0, 1, 2, 3, 4, 5, ~1, ~4, 6], sizes, capacity_bytes=50 * MIB)
    failed = found.out_of_memory
    assert failed is not None
    assert (failed.event, failed.storage, failed.requested_bytes) == (8, 6, 12 * MIB)
    assert failed.segment_bytes == 12 * MIB
    assert failed.free_bytes == 10 * MIB
    assert failed.reserved_bytes == 40 * MIB
    assert failed.allocated_bytes == 28 * MIB
    assert failed.unallocated_bytes == 12 * MIB
    assert failed.largest_free_block_bytes == 6 * MIB
    assert len(found.reserved_bytes) == 8
    expandable = AllocatorSettings(expandable_segments=True)
    assert replay(found.events, sizes, expandable, 60 * MIB).out_of_memory is None


def test_fragmentation_of_segments_in_use():
    found = replay([0, 1, ~0, ~1], [3 * MIB, 4 * MIB])
    assert found.reserved_bytes.tolist() == [20 * MIB] * 4
    assert found.unallocated_bytes.tolist() == [17 * MIB, 13 * MIB, 16 * MIB, 20 * MIB]
    assert found.inactive_split_bytes.tolist() == [17 * MIB, 13 * MIB, 16 * MIB, 0]


def test_unsplit_slack_counts_as_allocated():
    found = replay([0], [20 * MIB - 1000_000])
    assert found.allocated_bytes.tolist() == [20 * MIB]
    assert found.requested_bytes.tolist() == [20 * MIB - 1000_000]


def test_equal_blocks_are_taken_from_the_oldest_segment():
    found = replay([0, 1, ~1, ~0, 2], [30 * MIB] * 3)
    first, second = found.snapshot(4)["segments"]
    assert first["allocated_size"] == 30 * MIB
    assert second["allocated_size"] == 0


def test_capacity_beyond_the_device_is_refused():
    with pytest.raises(ValueError, match="total_bytes"):
        replay([0], [512], capacity_bytes=2 * MIB, total_bytes=MIB)


@pytest.fixture(params=["", "expandable_segments:True"])
def busy(request: pytest.FixtureRequest) -> Replay:
    sizes = [3 * MIB, 100, 40 * MIB, 7 * MIB, 1000_000, 200 * MIB]
    events = [0, 1, 2, ~0, 3, 4, ~2, 5]
    return replay(events, sizes, AllocatorSettings.parse(request.param), 120 * MIB)


class TestSnapshot:
    def test_adds_up_to_the_series(self, busy: Replay):
        for event in range(len(busy.reserved_bytes)):
            segments = busy.snapshot(event)["segments"]
            assert sum(each["total_size"] for each in segments) == busy.reserved_bytes[event]
            assert sum(each["allocated_size"] for each in segments) == busy.allocated_bytes[event]

    def test_torch_summarizes_segments(self, busy: Replay):
        text = _memory_viz.segsum(busy.snapshot(6))
        reserved = _memory_viz.Bytes(int(busy.reserved_bytes[6]))
        allocated = _memory_viz.Bytes(int(busy.requested_bytes[6]))
        assert f"total_reserved: {reserved}" in text
        assert f"total_allocated: {allocated}" in text

    def test_torch_draws_flame_graphs(self, busy: Replay):
        snapshot = busy.snapshot(6)
        lines = _memory_viz.memory(snapshot, format_flamegraph=str).splitlines()
        total = sum(int(line.rsplit(" ", 1)[1]) for line in lines)
        assert total == busy.reserved_bytes[6]
        compared = _memory_viz.compare(
            busy.snapshot(0)["segments"], snapshot["segments"], format_flamegraph=str
        )
        assert "only_after" in compared

    def test_torch_prints_the_history(self, busy: Replay):
        text = _memory_viz.trace(busy.snapshot(len(busy.events), history=True))
        assert "raise OutOfMemoryError # 200.0MiB requested" in text
        if not busy.settings.expandable_segments:
            assert text.count("= cudaMalloc(") == 3

    def test_history_without_freed_pairs_is_what_is_alive(self, busy: Replay):
        snapshot = busy.snapshot(6, history=True)
        (left,) = _memory_viz.filter_alloc_free_pairs(snapshot)["device_traces"]
        sizes = [entry["size"] for entry in left if entry["action"] == "alloc"]
        assert sizes == [100, 7 * MIB, 1000_000]

    def test_torch_plots_it(self, busy: Replay):
        snapshot = busy.snapshot(6, history=True)
        assert pickle.loads(pickle.dumps(snapshot)) == snapshot
        assert "snapshot.pickle" in _memory_viz.trace_plot(snapshot)
        assert "snapshot.pickle" in _memory_viz.segment_plot(snapshot)
