"""What the search knows: the instance, a partial layout, and the stacks to go back by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.arena.buffers import Ints

FAILED, FOUND, STOPPED = 0, 1, 2
OPEN, DOWN, FAILED_PART = 3, 4, 5  # a candidate is next, the node below is next; of a part

# Places in `counters`.
QUEUE_END, CANDIDATES_END, TRAIL_END, PARTS_END, NODES_LEFT, STOP, FAILURES = range(7)

Part = tuple[int, int, int, int]  # queue's begin and end, first section, end of sections


class Instance(NamedTuple):
    """What the search never changes. Overlaps and members are rows `at[i]` to `at[i + 1]`."""

    capacity: int
    size: Ints
    first: Ints  # section in which each buffer is born
    end: Ints  # section in which it is dead
    overlaps_at: Ints
    overlaps: Ints  # buffers alive together with each
    members_at: Ints
    members: Ints  # buffers alive in each section
    rank: Ints  # which of two buffers is to be tried first
    by_total: bool  # whether the fullest section of a buffer comes before its rank


class Partial(NamedTuple):
    """A partial layout, and what is kept about it."""

    queue: Ints  # buffers of the part under search in order of rank, nested parts behind
    place_in_queue: Ints
    offset: Ints  # of placed buffers; -1 where not placed
    floor: Ints  # of buffers not placed: above everything placed that they overlap
    total: Ints  # bytes not yet placed, by section
    cuts: Ints  # buffers not placed that live on both sides of each section's end
    section_witness: Ints  # of each section: a buffer that can lie low enough
    buffer_witness: Ints  # of each buffer that was passed over: one that can fill its place
    failed: NDArray[np.uint64]  # hashes of states from which nothing was found
    solution: Ints  # the last offset of each buffer in a finished part


class Stacks(NamedTuple):
    """What the search needs to go back: it is a loop, since depth may be the number of buffers."""

    nodes: Ints  # (depth, columns below)
    states: NDArray[np.uint64]  # hash of each node's state
    candidates: Ints
    parts: Ints  # (parts, 5): those that are to be searched one after the other
    raised: Ints  # buffers whose floor was raised
    floors: Ints  # and where it was before
    failed_at: Ints  # of each section: when a part with it failed last
    counters: Ints


# Columns of `nodes` behind the node's part: the range of its candidates, the next of them, the one
# being tried, where trail and queue ended before it, and the parts it made (none: still whole).
FIRST_CANDIDATE, LAST_CANDIDATE, NEXT, TRYING = 4, 5, 6, 7
TRAIL, QUEUE, FIRST_PART, THIS_PART, LAST_PART = 8, 9, 10, 11, 12
NODE_COLUMNS = 13
