"""Layouts in one pass over the buffers, largest first: what compilers' planners do."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from planner.arena.buffers import Buffers, Ints, Layout, height_bytes, max_live_bytes

# Of the gaps that are wide enough, as (width, offset): which one is taken.
Choice = Callable[[list[tuple[int, int]]], int]


def greedy_by_size(
    buffers: Buffers, capacity_bytes: int | None = None, seconds_limit: float = 0.0
) -> Layout:
    """Each at the lowest offset that is free throughout its life, largest first. O(n^2).

    One pass, however much time there is.
    """
    return _layout(buffers, capacity_bytes, "greedy by size", lambda gaps: gaps[0][1])


def best_fit(
    buffers: Buffers, capacity_bytes: int | None = None, seconds_limit: float = 0.0
) -> Layout:
    """Each in the narrowest gap that holds it, largest first, as XLA's and TFLite's. O(n^2).

    One pass, however much time there is.
    """
    return _layout(buffers, capacity_bytes, "best fit", lambda gaps: min(gaps)[1])


def _layout(buffers: Buffers, capacity_bytes: int | None, name: str, choice: Choice) -> Layout:
    started = time.perf_counter()
    offsets = np.full(len(buffers), -1, dtype=np.int64)
    # Equal sizes: the longer life first.
    life = buffers.upper - buffers.lower
    for row in np.lexsort((np.arange(len(buffers)), -life, -buffers.size_bytes)).tolist():
        offsets[row] = _place(buffers, offsets, row, choice)
    return Layout(
        offsets=offsets,
        height_bytes=height_bytes(buffers, offsets),
        lower_bound_bytes=max_live_bytes(buffers),
        solver=name,
        seconds=time.perf_counter() - started,
        capacity_bytes=capacity_bytes,
    )


def _place(buffers: Buffers, offsets: Ints, row: int, choice: Choice) -> int:
    meets = (buffers.lower < buffers.upper[row]) & (buffers.lower[row] < buffers.upper)
    others = np.flatnonzero(meets & (offsets >= 0))
    others = others[np.argsort(offsets[others])]
    size = int(buffers.size_bytes[row])
    top, gaps = 0, []
    begins = offsets[others].tolist()
    ends = (offsets[others] + buffers.size_bytes[others]).tolist()
    for begin, end in zip(begins, ends, strict=True):
        if begin - top >= size:
            gaps.append((begin - top, top))
        top = max(top, end)
    return choice(gaps) if gaps else top
