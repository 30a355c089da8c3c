"""The compiled search, set up for buffers and a capacity, and stopped at a deadline."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from planner.arena.buffers import Buffers, Ints
from planner.arena.order import sort_queue
from planner.arena.search import search
from planner.arena.sections import sections
from planner.arena.state import NODE_COLUMNS, STOP, STOPPED, Instance, Partial, Stacks

_REMEMBERED = 1 << 18
"""States that failed and are remembered; a power of two. 8 bytes each."""


class Search:
    """The search for layouts of buffers whose lifetimes are connected."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        # In units of the sizes' common divisor, so that a capacity's odd bytes do not count.
        self.unit = math.gcd(*buffers.size_bytes.tolist())
        self.size = buffers.size_bytes // self.unit
        self.sections = sections(buffers)

    def fit(self, capacity_bytes: int, deadline: float) -> tuple[int, Ints]:
        """`FOUND` and offsets, `FAILED` where there are none, `STOPPED` at the deadline.

        Three orders take turns with ever more nodes, as in MiniMalloc: widest life first, fullest
        section then largest area first, fullest section then widest life first.
        """
        instance = self._instance(capacity_bytes // self.unit)
        stacks = _stacks(instance, self.sections.number)
        counters, count = stacks.counters, len(self.size)
        failed = np.zeros(_REMEMBERED, dtype=np.uint64)
        solution = np.full(count, -1, dtype=np.int64)
        width = self.buffers.upper - self.buffers.lower
        area = width * self.size
        by_width, by_area = _rank(width, area), _rank(area, width)
        orders = cycle(((by_width, False), (by_area, True), (by_width, True)))
        part = (0, count, 0, self.sections.number)
        result, attempt = STOPPED, 0
        with _stopped_at(deadline, counters):
            while result == STOPPED and not counters[STOP]:
                rank, by_total = next(orders)
                instance = instance._replace(rank=rank, by_total=by_total)
                partial = self._partial(failed, solution)
                counters[:STOP] = (count, 0, 0, 0, count << (attempt // 3 + 1))
                sort_queue(instance, partial, 0, count)
                result = search(instance, partial, stacks, part)
                attempt += 1
        return result, solution * self.unit

    def _instance(self, capacity: int) -> Instance:
        first, end = self.sections.first, self.sections.end
        meet = (first[:, None] < end) & (first < end[:, None])
        np.fill_diagonal(meet, False)
        at = np.arange(self.sections.number)[:, None]
        overlaps_at, overlaps = _rows(meet)
        members_at, members = _rows((first <= at) & (at < end))
        rank = np.arange(len(first))
        return Instance(
            capacity, self.size, first, end, overlaps_at, overlaps, members_at, members, rank, False
        )

    def _partial(self, failed: NDArray[np.uint64], solution: Ints) -> Partial:
        count, spans = len(self.size), self.sections
        change = np.zeros(spans.number + 1, dtype=np.int64)
        np.add.at(change, spans.first, self.size)
        np.add.at(change, spans.end, -self.size)
        crossing = np.zeros(spans.number + 1, dtype=np.int64)
        np.add.at(crossing, spans.first, 1)
        np.add.at(crossing, spans.end - 1, -1)
        queue = np.empty(_depth_sum(count), dtype=np.int64)
        queue[:count] = np.arange(count)
        return Partial(
            queue=queue,
            place_in_queue=np.arange(count),
            offset=np.full(count, -1, dtype=np.int64),
            floor=np.zeros(count, dtype=np.int64),
            total=np.cumsum(change)[:-1],
            cuts=np.cumsum(crossing)[:-1],
            section_witness=np.full(spans.number, -1, dtype=np.int64),
            buffer_witness=np.full(count, -1, dtype=np.int64),
            failed=failed,
            solution=solution,
        )


def _stacks(instance: Instance, sections_count: int) -> Stacks:
    count, pairs = len(instance.size), len(instance.overlaps)
    return Stacks(
        nodes=np.empty((count + 1, NODE_COLUMNS), dtype=np.int64),
        states=np.empty(count + 1, dtype=np.uint64),
        candidates=np.empty(_depth_sum(count), dtype=np.int64),
        # Those beside the searched ones are disjoint; those searched are one a node.
        parts=np.empty((2 * count + 2, 5), dtype=np.int64),
        raised=np.empty(pairs, dtype=np.int64),
        floors=np.empty(pairs, dtype=np.int64),
        failed_at=np.zeros(sections_count, dtype=np.int64),
        counters=np.zeros(7, dtype=np.int64),
    )


def _depth_sum(count: int) -> int:
    """Entries that queues of nested parts, or candidates of nested nodes, take at most: each has
    at least one buffer fewer than the one around it."""
    return count * (count + 3) // 2


def _rank(*keys: Ints) -> Ints:
    """Places in the order by the keys, the largest first."""
    order = np.lexsort([-key for key in reversed(keys)])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _rows(table: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Where each row begins, and the columns that are set in it."""
    at = np.concatenate([[0], np.cumsum(table.sum(axis=1, dtype=np.int64))])
    return at, np.nonzero(table)[1].astype(np.int64)


@contextmanager
def _stopped_at(deadline: float, counters: Ints) -> Iterator[None]:
    """Set the flag that ends a search at the deadline; it runs without the interpreter's lock."""

    def stop() -> None:
        counters[STOP] = 1

    timer = threading.Timer(max(deadline - time.perf_counter(), 0.0), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def load() -> None:
    """Have the search compiled, or its code read from disk, by searching once."""
    ones = np.ones(2, dtype=np.int64)
    Search(Buffers(("a", "b"), 0 * ones, ones, ones)).fit(2, time.perf_counter() + 1)
