"""A depth-first search for a layout within a capacity. Compiled.

After MiniMalloc (Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated
Machine Learning", ASPLOS 2023, doi 10.1145/3623278.3624752; google/minimalloc), from which come:
canonical order (buffers are placed in order of offset, then of rank), dynamic ordering by the
lowest possible offset, sections with their unplaced totals, the monotonic floor, dominance, and
decomposition where no unplaced buffer crosses between sections. Different here:

- what was passed over must be replaced by one that overlaps it (`_replaced`);
- inferences keep a witness and look for another only when it is gone, as SAT solvers do;
- states that failed are remembered, and so are finished parts, which are taken again wherever
  their buffers still fit;
- of several parts, the one that failed last is searched first.

Passing these tuples costs more than comparing numbers, so helpers of inner loops take numbers. The
compiled search is cached, and numba keys that on this file alone: after a change of `state.py` or
`order.py` remove `__pycache__`.

A state is remembered by a 64-bit hash. Two states with one hash would make the search miss layouts,
and call infeasible what is not; it can never make a wrong layout.
"""

from __future__ import annotations

import numpy as np

from planner.arena.buffers import Ints
from planner.arena.compiled import compiled
from planner.arena.order import number_queue, sort_queue, state_hash
from planner.arena.state import (
    CANDIDATES_END,
    DOWN,
    FAILED,
    FAILED_PART,
    FAILURES,
    FIRST_CANDIDATE,
    FIRST_PART,
    FOUND,
    LAST_CANDIDATE,
    LAST_PART,
    NEXT,
    NODES_LEFT,
    OPEN,
    PARTS_END,
    QUEUE,
    QUEUE_END,
    STOP,
    STOPPED,
    THIS_PART,
    TRAIL,
    TRAIL_END,
    TRYING,
    Instance,
    Part,
    Partial,
    Stacks,
)


@compiled
def search(instance: Instance, partial: Partial, stacks: Stacks, part: Part) -> int:
    """Place the part's buffers; `FOUND` leaves their offsets in `partial.solution`.

    After `STOPPED` the partial layout is whatever was being tried.
    """
    depth = 0
    result = _enter(instance, partial, stacks, 0, part, 0, 0)
    while result != STOPPED:
        if result == OPEN:
            result = _try_next(instance, partial, stacks, depth)
        elif result == DOWN:
            depth += 1
            result = _descend(instance, partial, stacks, depth)
        elif depth == 0:
            break
        else:
            depth -= 1
            result = _resume(instance, partial, stacks, depth, result)
    return result


@compiled
def _descend(instance: Instance, partial: Partial, stacks: Stacks, depth: int) -> int:
    """Enter the node below the one at `depth - 1`: the same part, or the one of its parts."""
    above = stacks.nodes[depth - 1]
    if above[LAST_PART] == above[FIRST_PART]:
        part = (above[0], above[1], above[2], above[3])
        number = above[TRYING]
        offset = partial.offset[partial.queue[number]]
        return _enter(instance, partial, stacks, depth, part, offset, number)
    inner = stacks.parts[above[THIS_PART]]
    part = (inner[0], inner[1], inner[2], inner[3])
    sort_queue(instance, partial, part[0], part[1])
    return _enter(instance, partial, stacks, depth, part, 0, 0)


@compiled
def _enter(
    instance: Instance,
    partial: Partial,
    stacks: Stacks,
    depth: int,
    part: Part,
    offset: int,
    number: int,
) -> int:
    """Begin a node: place the part's buffers that are left, at or above (offset, number)."""
    counters = stacks.counters
    if counters[NODES_LEFT] <= 0 or counters[STOP]:
        return STOPPED
    counters[NODES_LEFT] -= 1
    below = _useful_below(instance, partial, part)
    if below < 0:
        return FOUND
    state = state_hash(partial, part, offset, number)
    if _has_failed(partial, state):
        return FAILED
    node = stacks.nodes[depth]
    node[0], node[1], node[2], node[3] = part
    node[FIRST_CANDIDATE] = counters[CANDIDATES_END]
    node[LAST_CANDIDATE] = _list_candidates(partial, stacks, part, offset, number, below)
    node[NEXT] = node[FIRST_CANDIDATE]
    stacks.states[depth] = state
    return OPEN


@compiled
def _try_next(instance: Instance, partial: Partial, stacks: Stacks, depth: int) -> int:
    """Place the node's next candidate from which a solution may continue."""
    node, counters = stacks.nodes[depth], stacks.counters
    part = (node[0], node[1], node[2], node[3])
    while node[NEXT] < node[LAST_CANDIDATE]:
        number = stacks.candidates[node[NEXT]]
        node[NEXT] += 1
        node[TRYING] = number
        node[TRAIL], node[QUEUE] = counters[TRAIL_END], counters[QUEUE_END]
        node[FIRST_PART] = node[THIS_PART] = node[LAST_PART] = counters[PARTS_END]
        result = FAILED
        apart = _place(instance, partial, stacks, number)
        offset = partial.offset[partial.queue[number]]
        if _consistent(instance, partial, part, offset, number):
            if not apart:
                return DOWN
            result = _split(instance, partial, stacks, node)
            if result == DOWN:
                return DOWN
        _take_back(instance, partial, stacks, node, result == FOUND)
        if result == FOUND:
            counters[CANDIDATES_END] = node[FIRST_CANDIDATE]
            return FOUND
    counters[CANDIDATES_END] = node[FIRST_CANDIDATE]
    state = stacks.states[depth]
    partial.failed[np.int64(state & np.uint64(len(partial.failed) - 1))] = state
    return FAILED


@compiled
def _resume(instance: Instance, partial: Partial, stacks: Stacks, depth: int, result: int) -> int:
    """Go on at a node with what came of the node below it."""
    node = stacks.nodes[depth]
    if result == FOUND:
        if node[THIS_PART] + 1 < node[LAST_PART]:
            node[THIS_PART] += 1
            return DOWN
        _take_back(instance, partial, stacks, node, True)
        stacks.counters[CANDIDATES_END] = node[FIRST_CANDIDATE]
        return FOUND
    if node[LAST_PART] > node[FIRST_PART]:
        stacks.counters[FAILURES] += 1
        inner = stacks.parts[node[THIS_PART]]
        stacks.failed_at[inner[2] : inner[3]] = stacks.counters[FAILURES]
    _take_back(instance, partial, stacks, node, False)
    return OPEN


@compiled
def _has_failed(partial: Partial, state: np.uint64) -> bool:
    return bool(partial.failed[np.int64(state & np.uint64(len(partial.failed) - 1))] == state)


@compiled
def _useful_below(instance: Instance, partial: Partial, part: Part) -> int:
    """No buffer needs to be placed next at this offset or above; -1 where all are placed.

    Above the least height of an unplaced buffer, that buffer would fit below (dominance). And as
    all that follow lie above, the fullest section must still fit there (monotonic floor).
    """
    below = -1
    for index in range(part[0], part[1]):
        buffer = partial.queue[index]
        if partial.offset[buffer] < 0:
            height = int(partial.floor[buffer] + instance.size[buffer])
            below = height if below < 0 else min(below, height)
    if below < 0:
        return -1
    fullest = 0
    for section in range(part[2], part[3]):
        fullest = max(fullest, int(partial.total[section]))
    return max(min(below, instance.capacity - fullest + 1), 0)


@compiled
def _list_candidates(
    partial: Partial, stacks: Stacks, part: Part, offset: int, number: int, below: int
) -> int:
    """Push the numbers of buffers that may be placed next, lowest first; the stack's new end."""
    bottom = top = int(stacks.counters[CANDIDATES_END])
    for index in range(part[0], part[1]):
        buffer = partial.queue[index]
        floor = partial.floor[buffer]
        if partial.offset[buffer] >= 0 or floor >= below:
            continue
        if floor < offset or (floor == offset and index < number):
            continue
        place = top
        while place > bottom:
            before = stacks.candidates[place - 1]
            if partial.floor[partial.queue[before]] <= floor:
                break
            stacks.candidates[place] = before
            place -= 1
        stacks.candidates[place] = index
        top += 1
    stacks.counters[CANDIDATES_END] = top
    return top


@compiled
def _place(instance: Instance, partial: Partial, stacks: Stacks, number: int) -> bool:
    """Place a buffer at its floor; whether its part falls apart by that."""
    buffer = partial.queue[number]
    partial.offset[buffer] = partial.floor[buffer]
    size = instance.size[buffer]
    _raise_floors(instance, partial, stacks, buffer, partial.floor[buffer] + size)
    apart = False
    end = instance.end[buffer]
    for section in range(instance.first[buffer], end):
        partial.total[section] -= size
        if section < end - 1:
            partial.cuts[section] -= 1
            apart = apart or partial.cuts[section] == 0
    return apart


@compiled
def _take_back(
    instance: Instance, partial: Partial, stacks: Stacks, node: Ints, found: bool
) -> None:
    """Undo the placing of the candidate that the node is trying."""
    buffer = partial.queue[node[TRYING]]
    if found:
        partial.solution[buffer] = partial.offset[buffer]
    partial.offset[buffer] = -1
    end = instance.end[buffer]
    for section in range(instance.first[buffer], end):
        partial.total[section] += instance.size[buffer]
        if section < end - 1:
            partial.cuts[section] += 1
    counters = stacks.counters
    for index in range(counters[TRAIL_END] - 1, node[TRAIL] - 1, -1):
        partial.floor[stacks.raised[index]] = stacks.floors[index]
    counters[TRAIL_END] = node[TRAIL]
    if counters[PARTS_END] > node[FIRST_PART] or counters[QUEUE_END] > node[QUEUE]:
        number_queue(partial, node[0], node[1])  # the parts had numbers of their own
    counters[PARTS_END], counters[QUEUE_END] = node[FIRST_PART], node[QUEUE]


@compiled
def _raise_floors(
    instance: Instance, partial: Partial, stacks: Stacks, buffer: int, height: int
) -> None:
    top = stacks.counters[TRAIL_END]
    for index in range(instance.overlaps_at[buffer], instance.overlaps_at[buffer + 1]):
        other = instance.overlaps[index]
        if partial.offset[other] < 0 and partial.floor[other] < height:
            stacks.raised[top] = other
            stacks.floors[top] = partial.floor[other]
            partial.floor[other] = height
            top += 1
    stacks.counters[TRAIL_END] = top


@compiled
def _consistent(instance: Instance, partial: Partial, part: Part, offset: int, number: int) -> bool:
    """False if no solution continues from a buffer placed at (offset, number).

    All that follow lie at or above it, in the order of offset and rank; what could have been placed
    before it was passed over. About O(buffers + sections), since witnesses seldom change.
    """
    begin, end, first, last = part
    offsets, floors, places = partial.offset, partial.floor, partial.place_in_queue
    for index in range(begin, end):
        buffer = partial.queue[index]
        floor = floors[buffer]
        if offsets[buffer] >= 0 or _later(floor, index, offset, number):
            continue
        top, limit = floor + instance.size[buffer], instance.capacity - instance.size[buffer]
        witness = partial.buffer_witness[buffer]
        if witness >= 0 and offsets[witness] < 0:
            lowest = max(floors[witness], offset)
            if lowest < top and lowest + instance.size[witness] <= limit:
                continue
        if not _replaced(instance, partial, buffer, offset, limit):
            return False
    for section in range(first, last):
        if partial.total[section] == 0:
            continue
        limit = instance.capacity - partial.total[section]
        witness = partial.section_witness[section]
        if (
            witness >= 0
            and offsets[witness] < 0
            and floors[witness] <= limit
            and _later(floors[witness], places[witness], offset, number)
        ):
            continue
        if not _section_fits(instance, partial, section, offset, number):
            return False
    return True


@compiled
def _later(floor: int, place: int, offset: int, number: int) -> bool:
    """Whether a buffer at its floor comes after (offset, number)."""
    return floor > offset or (floor == offset and place > number)


@compiled
def _replaced(instance: Instance, partial: Partial, buffer: int, offset: int, limit: int) -> bool:
    """Whether another can still come to lie where the buffer was passed over, below the limit.

    If none can, the buffer could be moved down into that place: the layout, if there is one, is
    found elsewhere. And what does must leave room above itself.
    """
    top = partial.floor[buffer] + instance.size[buffer]
    for index in range(instance.overlaps_at[buffer], instance.overlaps_at[buffer + 1]):
        other = instance.overlaps[index]
        if partial.offset[other] < 0:
            lowest = max(partial.floor[other], offset)
            if lowest < top and lowest + instance.size[other] <= limit:
                partial.buffer_witness[buffer] = other
                return True
    return False


@compiled
def _section_fits(
    instance: Instance, partial: Partial, section: int, offset: int, number: int
) -> bool:
    """Whether some buffer of the section can lie low enough for all its bytes to fit above."""
    limit = instance.capacity - partial.total[section]
    begin, end = instance.members_at[section], instance.members_at[section + 1]
    offsets, floors, places = partial.offset, partial.floor, partial.place_in_queue
    for index in range(begin, end):
        buffer = instance.members[index]
        if offsets[buffer] >= 0 or floors[buffer] > limit:
            continue
        if _later(floors[buffer], places[buffer], offset, number):
            partial.section_witness[section] = buffer
            return True
    # One that was passed over lies above whatever takes its place.
    for index in range(begin, end):
        buffer = instance.members[index]
        if offsets[buffer] >= 0 or _later(floors[buffer], places[buffer], offset, number):
            continue
        if _replaced(instance, partial, buffer, offset, limit):
            return True
    return False


@compiled
def _split(instance: Instance, partial: Partial, stacks: Stacks, node: Ints) -> int:
    """List the parts that placing the node's candidate has made, the one that failed last first.

    `FAILED` if one is known to fail, `FOUND` if nothing is left to search, else `DOWN`.
    """
    buffer = partial.queue[node[TRYING]]
    first, last = node[2], instance.end[buffer] - 1
    result = FOUND
    for section in range(instance.first[buffer], last + 1):
        if section < last and partial.cuts[section] > 0:
            continue
        end = section + 1 if section < last else node[3]
        result = max(result, _add_part(instance, partial, stacks, node, first, end))
        if result == FAILED_PART:
            break
        first = end
    number_queue(partial, node[0], node[1])
    node[LAST_PART] = stacks.counters[PARTS_END]
    return FAILED if result == FAILED_PART else result


@compiled
def _add_part(
    instance: Instance, partial: Partial, stacks: Stacks, node: Ints, first: int, end: int
) -> int:
    """Add the part within these sections to the node's, unless it needs no search: `DOWN`, else
    `FOUND`; `FAILED_PART` if it is known to fail.
    """
    counters = stacks.counters
    begin = queue_end = counters[QUEUE_END]
    for index in range(node[0], node[1]):
        buffer = partial.queue[index]
        inside = instance.first[buffer] < end and instance.end[buffer] > first
        if inside and partial.offset[buffer] < 0:
            partial.queue[queue_end] = buffer
            queue_end += 1
    if begin == queue_end:
        return FOUND
    if _has_failed(partial, state_hash(partial, (begin, queue_end, first, end), 0, 0)):
        return FAILED_PART
    if _fits_again(instance, partial, begin, queue_end):
        return FOUND
    parts, failed_at = stacks.parts, np.max(stacks.failed_at[first:end])
    place = counters[PARTS_END]
    while place > node[FIRST_PART] and parts[place - 1, 4] < failed_at:
        parts[place] = parts[place - 1]
        place -= 1
    parts[place, 0], parts[place, 1], parts[place, 2] = begin, queue_end, first
    parts[place, 3], parts[place, 4] = end, failed_at
    counters[PARTS_END] += 1
    counters[QUEUE_END] = queue_end
    return DOWN


@compiled
def _fits_again(instance: Instance, partial: Partial, begin: int, end: int) -> bool:
    """Whether the offsets that these buffers had in finished parts do for them now."""
    for index in range(begin, end):
        buffer = partial.queue[index]
        if partial.solution[buffer] < partial.floor[buffer]:
            return False
    for index in range(begin, end):
        buffer = partial.queue[index]
        low = partial.solution[buffer]
        for at in range(instance.overlaps_at[buffer], instance.overlaps_at[buffer + 1]):
            other = instance.overlaps[at]
            if other > buffer and partial.offset[other] < 0:
                begins = partial.solution[other]
                if begins < low + instance.size[buffer] and low < begins + instance.size[other]:
                    return False
    return True
