"""Lifetimes as ranges of *sections*: the largest sets of buffers alive at one time.

Between a death and the next birth nothing new is constrained, so time is cut only where a birth
follows a death. What holds in every section holds at every time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from planner.arena.buffers import Buffers, Ints


class Sections(NamedTuple):
    """Buffer b is alive in sections `first[b]` until before `end[b]` of `number`."""

    first: Ints
    end: Ints
    number: int


def sections(buffers: Buffers) -> Sections:
    """Each buffer's range of sections. O(n log n)."""
    times = np.unique(np.concatenate([buffers.lower, buffers.upper]))
    births = np.isin(times, buffers.lower)
    deaths = np.isin(times, buffers.upper)
    closed = np.zeros(len(times), dtype=np.int64)  # sections that have ended by each time
    count, grown = 0, False
    for index in range(len(times)):
        if deaths[index] and grown:
            count, grown = count + 1, False
        closed[index] = count
        grown = grown or bool(births[index])
    first = closed[np.searchsorted(times, buffers.lower)]
    end = closed[np.searchsorted(times, buffers.upper)]
    return Sections(first, end, count)


def components(buffers: Buffers) -> list[Ints]:
    """Rows of the groups whose lifetimes are connected; each group is a problem of its own."""
    order = np.lexsort((buffers.upper, buffers.lower))
    until = np.maximum.accumulate(buffers.upper[order])
    apart = np.flatnonzero(buffers.lower[order][1:] >= until[:-1]) + 1
    return list(np.split(order, apart)) if len(order) else []
