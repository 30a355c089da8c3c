"""What can be said of a partial layout without searching on. Compiled; see `search.py`.

The search places buffers in order of offset, and of rank where offsets are equal. So once one is
placed at (offset, rank), all that follow lie at or above it, which the inferences here use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.arena.buffers import Ints
from planner.arena.compiled import compiled


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


@compiled
def later(partial: Partial, buffer: int, offset: int, number: int) -> bool:
    """Whether the buffer, at its floor, would come after (offset, number) in the order."""
    floor = partial.floor[buffer]
    return bool(
        floor > offset or (floor == offset and partial.place_in_queue[buffer] > number)
    )


@compiled
def consistent(
    instance: Instance, partial: Partial, part: tuple[int, int, int, int], offset: int, number: int
) -> bool:
    """False if no solution continues from here. `part` is its queue's begin and end, and its first
    and last section. About O(buffers + sections), since witnesses seldom change.
    """
    begin, end, first, last = part
    for index in range(begin, end):
        buffer = partial.queue[index]
        if partial.offset[buffer] < 0 and not later(partial, buffer, offset, number):
            if not _replaced(instance, partial, buffer, offset):
                return False
    for section in range(first, last):
        if partial.total[section] > 0 and not _section_fits(
            instance, partial, section, offset, number
        ):
            return False
    return True


@compiled
def _replaced(instance: Instance, partial: Partial, buffer: int, offset: int) -> bool:
    """Whether something can still come to lie where this buffer was passed over.

    If nothing does, the buffer could be moved down into that place: the layout, if there is one, is
    found elsewhere. And what does must leave room for the buffer above itself.
    """
    top = partial.floor[buffer] + instance.size[buffer]
    if offset >= top:
        return False
    limit = instance.capacity - instance.size[buffer]
    witness = partial.buffer_witness[buffer]
    if witness >= 0 and _replaces(instance, partial, witness, offset, top, limit):
        return True
    for index in range(instance.overlaps_at[buffer], instance.overlaps_at[buffer + 1]):
        other = instance.overlaps[index]
        if _replaces(instance, partial, other, offset, top, limit):
            partial.buffer_witness[buffer] = other
            return True
    return False


@compiled
def _replaces(
    instance: Instance, partial: Partial, other: int, offset: int, top: int, limit: int
) -> bool:
    if partial.offset[other] >= 0:
        return False
    lowest = max(partial.floor[other], offset)
    return bool(lowest < top and lowest + instance.size[other] <= limit)


@compiled
def _section_fits(
    instance: Instance, partial: Partial, section: int, offset: int, number: int
) -> bool:
    """Whether some buffer of the section can lie low enough for all its bytes to fit above."""
    limit = instance.capacity - partial.total[section]
    witness = partial.section_witness[section]
    if witness >= 0 and _lies_low(partial, witness, limit, offset, number):
        return True
    members = range(instance.members_at[section], instance.members_at[section + 1])
    for index in members:
        buffer = instance.members[index]
        if _lies_low(partial, buffer, limit, offset, number):
            partial.section_witness[section] = buffer
            return True
    # One that was passed over lies above whatever takes its place.
    for index in members:
        buffer = instance.members[index]
        if partial.offset[buffer] >= 0 or later(partial, buffer, offset, number):
            continue
        top = partial.floor[buffer] + instance.size[buffer]
        for at in range(instance.overlaps_at[buffer], instance.overlaps_at[buffer + 1]):
            if _replaces(instance, partial, instance.overlaps[at], offset, top, limit):
                return True
    return False


@compiled
def _lies_low(partial: Partial, buffer: int, limit: int, offset: int, number: int) -> bool:
    return bool(
        partial.offset[buffer] < 0
        and partial.floor[buffer] <= limit
        and later(partial, buffer, offset, number)
    )
