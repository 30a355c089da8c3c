"""What two peaks do not share, by the sizes of their blocks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cuda_held import UNSPLIT_BYTES, Held, grouped, held_in, held_on, unshared
from tests.planner.tapes import tape_of

MIB = 2**20

blocks = st.lists(
    st.tuples(st.integers(1, 8).map(lambda n: n * MIB // 2) | st.integers(1, 4000), st.just("x")),
    max_size=30,
).map(grouped)


def total(held):
    return sum(each.block_bytes * each.blocks for each in held)


def test_equal_sizes_are_paired_and_the_rest_is_told():
    measured = [Held(32 * MIB, 3, "made in step0.forward"), Held(512, 2, "made in build")]
    predicted = [Held(32 * MIB, 1, "aten.mm in head"), Held(512, 2, "bias"), Held(9 * MIB, 1, "w")]
    found = unshared(measured, predicted)
    assert found.first == [Held(32 * MIB, 2, "made in step0.forward")]
    assert found.second == [Held(9 * MIB, 1, "w")]
    assert (found.unsplit_bytes, found.unsplit_pairs) == (0, 0)


def test_an_unsplit_rest_is_no_missing_tensor():
    found = unshared([Held(10 * MIB + 512, 2, "a")], [Held(10 * MIB, 2, "b")])
    assert (found.first, found.second) == ([], [])
    assert (found.unsplit_bytes, found.unsplit_pairs) == (1024, 2)


def test_the_small_pool_leaves_no_rest():
    found = unshared([Held(1024, 1, "a")], [Held(512, 1, "b")])
    assert (found.first, found.second) == ([Held(1024, 1, "a")], [Held(512, 1, "b")])


def test_a_rest_is_at_most_what_the_allocator_leaves():
    found = unshared([Held(10 * MIB + UNSPLIT_BYTES + 512, 1, "a")], [Held(10 * MIB, 1, "b")])
    assert found.unsplit_pairs == 0
    assert len(found.first) == len(found.second) == 1


@given(blocks, blocks)
def test_what_is_told_adds_up_to_the_difference(first, second):
    found = unshared(first, second)
    told = total(found.first) - total(found.second) + found.unsplit_bytes
    assert told == total(first) - total(second)


@given(blocks)
def test_equal_sides_share_everything(held):
    assert unshared(held, held) == ([], [], 0, 0)


@given(blocks, blocks)
def test_sides_can_be_swapped(first, second):
    one, other = unshared(first, second), unshared(second, first)
    assert (one.first, one.second) == (other.second, other.first)
    assert one.unsplit_bytes == -other.unsplit_bytes


def test_blocks_of_one_size_take_the_most_common_label():
    assert grouped([(8, "a"), (8, "b"), (8, "b"), (0, "none"), (16, "c")]) == [
        Held(16, 1, "c"),
        Held(8, 3, "b"),
    ]


def test_a_phase_holds_what_it_began_with():
    events = np.array([0, 1, ~1, 2, ~2, ~0])
    sizes = np.array([512, 2048, 1024])
    phases = {"a": (1, 3), "b": (3, 5), "c": (5, 6), "empty": (6, 6)}
    found = held_in(events, sizes, phases, str)
    assert found["a"] == [Held(2048, 1, "1"), Held(512, 1, "0")]
    assert found["b"] == [Held(1024, 1, "2"), Held(512, 1, "0")]
    assert found["c"] == [Held(512, 1, "0")]
    assert found["empty"] == []


def test_a_tape_labels_what_it_holds():
    tape = tape_of([0, 1, ~1], [512, 1024])
    assert held_on(tape) == {
        "step0.forward": [
            Held(1024, 1, "before the step, temporaries"),
            Held(512, 1, "before the step, temporaries"),
        ]
    }
