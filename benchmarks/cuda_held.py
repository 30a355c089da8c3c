"""What is alive at the peaks of a workload, by size, and what two sides of it do not share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from planner.allocator.settings import SMALL_BYTES
from planner.simulation import storage_label
from planner.tape import Category, Ints, Tape

UNSPLIT_BYTES = SMALL_BYTES
"""The large pool leaves a rest of up to kSmallSize with a block (`should_split` in
c10/cuda/CUDACachingAllocator.cpp), so one request can be two blocks that differ by as much."""


class Held(NamedTuple):
    """Equal blocks that are alive together.

    Attributes:
        label: what most of them are.
    """

    block_bytes: int
    blocks: int
    label: str


class Unshared(NamedTuple):
    """What two sides hold differently.

    Attributes:
        first: what the first lacks a partner for in the second, largest in all first.
        second: the reverse.
        unsplit_bytes: how much more the first holds in pairs that differ by an unsplit rest.
        unsplit_pairs: how many such pairs there are.
    """

    first: list[Held]
    second: list[Held]
    unsplit_bytes: int
    unsplit_pairs: int


def held_in(
    events: Ints | Any,
    block_bytes: Ints,
    phases: Mapping[str, Sequence[int]],
    label: Callable[[int], str],
) -> dict[str, list[Held]]:
    """For each phase (first event, end event), what is alive at its peak, largest blocks first.

    The state that a phase begins with belongs to it, as in `planner.simulation.phase_peaks`.

    Args:
        events: `e >= 0` is the birth of storage e, `e < 0` the death of storage ~e.
        label: of a storage.
    """
    storages = np.where(events < 0, ~events, events)
    live = np.cumsum(np.where(events < 0, -1, 1) * block_bytes[storages])
    found = {}
    for name, (first, end) in phases.items():
        window = live[max(first - 1, 0) : max(end, 1)]
        if not len(window):
            continue
        until = events[: max(first - 1, 0) + int(np.argmax(window)) + 1]
        alive = np.setdiff1d(until[until >= 0], ~until[until < 0], assume_unique=True)
        found[name] = grouped((int(block_bytes[one]), label(int(one))) for one in alive)
    return found


def held_on(tape: Tape) -> dict[str, list[Held]]:
    """For each phase of a tape, what is alive at its peak."""

    def label(storage: int) -> str:
        category = Category(tape.storage_category[storage]).name
        return f"{storage_label(tape, storage)}, {category}"

    phases = dict(zip(tape.phases, tape.phase_events.tolist(), strict=True))
    return held_in(tape.events, tape.storage_bytes, phases, label)


def grouped(blocks: Iterable[tuple[int, str]]) -> list[Held]:
    """Blocks (size, label) counted by size, largest first; those of no bytes are none."""
    labels: dict[int, Counter[str]] = defaultdict(Counter)
    for size, label in blocks:
        labels[size][label] += 1
    return [
        Held(size, labels[size].total(), labels[size].most_common(1)[0][0])
        for size in sorted(labels, reverse=True)
        if size
    ]


def unshared(first: Iterable[Held], second: Iterable[Held]) -> Unshared:
    """Pair blocks of equal size, then large ones that differ by an unsplit rest; O(n log n).

    Limitation: blocks are known by their sizes alone, so a tensor that is missing on one side can
    be hidden by a stranger of its size.
    """
    mine, other = _by_size(first), _by_size(second)
    counts = Counter({size: held.blocks for size, held in mine.items()})
    counts.subtract({size: held.blocks for size, held in other.items()})
    left = {size: counts[size] for size in sorted(counts, reverse=True) if counts[size]}
    unsplit_bytes, unsplit_pairs = _pair_unsplit(left)
    return Unshared(
        _ranked(mine[size]._replace(blocks=count) for size, count in left.items() if count > 0),
        _ranked(other[size]._replace(blocks=-count) for size, count in left.items() if count < 0),
        unsplit_bytes,
        unsplit_pairs,
    )


def _by_size(held: Iterable[Held]) -> dict[int, Held]:
    return {each.block_bytes: each for each in (Held(*each) for each in held)}


def _ranked(held: Iterable[Held]) -> list[Held]:
    return sorted(held, key=lambda each: -each.block_bytes * each.blocks)


def _pair_unsplit(left: dict[int, int]) -> tuple[int, int]:
    """Take from the surplus (positive) and the deficit (negative) of neighbouring large sizes what
    can be one request; the bytes that the surplus has more, and the pairs.
    """
    total = pairs = 0
    sizes = [size for size in left if size > SMALL_BYTES]
    for index, size in enumerate(sizes):
        for other in sizes[index + 1 :]:
            if size - other > UNSPLIT_BYTES or not left[size]:
                break
            if left[size] * left[other] < 0:
                sign = 1 if left[size] > 0 else -1
                count = min(abs(left[size]), abs(left[other]))
                left[size] -= sign * count
                left[other] += sign * count
                total += sign * count * (size - other)
                pairs += count
    return total, pairs
