"""The order in which the buffers of a part are tried, and the hash of a state. Compiled."""

from __future__ import annotations

import numpy as np

from planner.arena.compiled import compiled
from planner.arena.state import Instance, Part, Partial


@compiled
def sort_queue(instance: Instance, partial: Partial, begin: int, end: int) -> None:
    """Bring the buffers of a part into the order in which they are tried, and number them."""
    keys = np.empty(end - begin, dtype=np.int64)
    for index in range(begin, end):
        buffer = partial.queue[index]
        total = np.int64(0)
        if instance.by_total:
            total = np.max(partial.total[instance.first[buffer] : instance.end[buffer]])
        keys[index - begin] = instance.rank[buffer] - total * len(instance.rank)
    order = np.argsort(keys)
    partial.queue[begin:end] = partial.queue[begin:end][order]
    number_queue(partial, begin, end)


@compiled
def number_queue(partial: Partial, begin: int, end: int) -> None:
    """Note where in the queue each buffer of a part is."""
    for index in range(begin, end):
        partial.place_in_queue[partial.queue[index]] = index


@compiled
def state_hash(partial: Partial, part: Part, offset: int, number: int) -> np.uint64:
    """Of the unplaced buffers with their floors, and which of them were passed over.

    A sum over buffers of splitmix64's finalizer (Steele et al. 2014, doi 10.1145/2660193.2660195).
    """
    total = np.uint64(0)
    for index in range(part[0], part[1]):
        buffer = partial.queue[index]
        if partial.offset[buffer] >= 0:
            continue
        floor = partial.floor[buffer]
        passed = floor < offset or (floor == offset and index < number)
        mixed = np.uint64(floor) * np.uint64(0x9E3779B97F4A7C15)
        mixed += np.uint64(2 * buffer + passed) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total += mixed ^ (mixed >> np.uint64(31))
    return total
