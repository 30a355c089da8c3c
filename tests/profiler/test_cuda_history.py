"""The allocator's history as a tape's events, and what it is for: serving it again."""

from hypothesis import given
from hypothesis import strategies as st

from planner.allocator import replay
from profiler.cuda_history import history_of

MIB = 2**20


def entry(action, addr, size, time_us):
    return {"action": action, "addr": addr, "size": size, "time_us": time_us}


TRACE = [
    entry("segment_alloc", 0, 2 * MIB, 10),
    entry("alloc", 0, 100, 11),
    entry("alloc", 512, 50, 12),
    entry("free_requested", 0, 100, 13),
    entry("free_completed", 0, 100, 13),
    entry("alloc", 0, 70, 14),
    entry("free_requested", 4096, 8, 15),
]


def test_an_address_used_twice_is_two_requests():
    history = history_of(TRACE, [])
    assert history.events.tolist() == [0, 1, ~0, 2]
    assert history.requested_bytes.tolist() == [100, 50, 70]


def test_phases_are_cut_by_the_clock():
    history = history_of(TRACE, [("a", 11_500, 13_500), ("b", 13_500, 20_000)])
    assert history.phases == ["a", "b"]
    assert history.phase_events.tolist() == [[1, 3], [3, 4]]
    assert [history.phase_at(event) for event in range(4)] == ["build", "a", "a", "b"]


def test_a_history_without_entries_or_phases():
    history = history_of([], [])
    assert history.events.tolist() == []
    assert history.phase_at(0) == "build"


@given(st.lists(st.tuples(st.integers(1, 4 * MIB), st.booleans()), max_size=40))
def test_the_simulated_allocator_holds_what_the_history_holds(requests):
    trace, held = [], []
    for time_us, (size, frees) in enumerate(requests):
        if frees and held:
            addr, freed = held.pop(0)
            trace.append(entry("free_requested", addr, freed, time_us))
        held.append((time_us * 8 * MIB, size))
        trace.append(entry("alloc", *held[-1], time_us))
    history = history_of(trace, [])
    served = replay(history.events, history.requested_bytes)
    assert served.requested_bytes[-1:].tolist() == [sum(size for _, size in held)] * bool(requests)
