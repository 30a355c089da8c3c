"""Offsets for buffers: a greedy pass where that is proven best, a search where it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.arena.buffers import Buffers, Layout, height_bytes
from planner.arena.greedy import best_fit, greedy_by_size
from planner.arena.sections import components

LARGEST = 2_000
"""Buffers connected in time that are searched at most; of more, what the greedy passes found
stays. The search's tables grow with the square of the number."""

FIRST_SHARE = 0.5
"""Of the time left that a search for one capacity gets: first the lower bound, which is often
reached, then halfway from there to the best layout."""

SEARCH = "canonical search"


def pack(
    buffers: Buffers, capacity_bytes: int | None = None, seconds_limit: float = 60.0
) -> Layout:
    """A layout within the capacity; without one, the lowest found in the time.

    The first search of an installation compiles it, for some ten seconds besides the limit; the
    code is cached on disk. With no seconds nothing is searched. Never higher than the greedy
    passes' layouts. A layout that does not fit the capacity has
    `fits` False, with `proof` infeasible where none does.
    """
    started = time.perf_counter()
    found = min(
        greedy_by_size(buffers, capacity_bytes),
        best_fit(buffers, capacity_bytes),
        key=lambda layout: layout.height_bytes,
    )
    goal = found.lower_bound_bytes if capacity_bytes is None else capacity_bytes
    if found.lower_bound_bytes <= goal < found.height_bytes and seconds_limit > 0:
        search = _Descent(buffers, found)
        deadline = time.perf_counter() + seconds_limit
        if capacity_bytes is None:
            search.minimise(deadline)
        else:
            search.reach(capacity_bytes, deadline)
        found = search.layout(found)
    return replace(found, seconds=time.perf_counter() - started)


Solver = Callable[[Buffers, int | None, float], Layout]

SOLVERS: dict[str, Solver] = {
    "greedy by size": greedy_by_size,
    "best fit": best_fit,
    "pack": pack,
}
"""Solvers with one signature; the greedy ones need no time limit."""


class _Descent:
    """Lower and lower layouts, from a first one on; connected lifetimes apart from each other."""

    def __init__(self, buffers: Buffers, found: Layout) -> None:
        # numba takes half a second to import: only where there is something to search.
        from planner.arena.exact import Search, load

        load()
        self.buffers = buffers
        self.offsets = found.offsets.copy()
        self.height = found.height_bytes
        self.proven = found.lower_bound_bytes
        self.step = int(np.gcd.reduce(buffers.size_bytes))
        self.rows = [rows for rows in components(buffers) if len(rows) <= LARGEST]
        self.searches = [Search(buffers.take(rows)) for rows in self.rows]
        self.searched = False

    def reach(self, capacity_bytes: int, deadline: float) -> bool:
        """Search for a layout within the capacity; True if it was found."""
        from planner.arena.state import FAILED, FOUND

        for rows, search in zip(self.rows, self.searches, strict=True):
            if height_bytes(search.buffers, self.offsets[rows]) <= capacity_bytes:
                continue
            result, offsets = search.fit(capacity_bytes, deadline)
            if result == FAILED:
                self.proven = max(self.proven, capacity_bytes // self.step * self.step + self.step)
            if result != FOUND:
                return False
            self.offsets[rows] = offsets
            self.searched = True
        self.height = height_bytes(self.buffers, self.offsets)
        return self.height <= capacity_bytes

    def minimise(self, deadline: float) -> None:
        """Bisect between what is out of reach and what was found, until the deadline."""
        target = low = self.proven
        while target < self.height:
            now = time.perf_counter()
            if now >= deadline:
                break
            if not self.reach(target, now + FIRST_SHARE * (deadline - now)):
                low = target + self.step
            middle = low + (self.height - low) // 2
            target = max(middle // self.step * self.step, low)

    def layout(self, found: Layout) -> Layout:
        """The best so far."""
        return replace(
            found,
            offsets=self.offsets,
            height_bytes=height_bytes(self.buffers, self.offsets),
            lower_bound_bytes=self.proven,
            solver=SEARCH if self.searched else found.solver,
        )
