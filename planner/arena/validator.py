"""Whether a layout is one, decided without any of the solvers' code."""

from __future__ import annotations

from bisect import bisect, insort

from planner.arena.buffers import Buffers, Ints


def violations(buffers: Buffers, offsets: Ints, capacity_bytes: int | None = None) -> list[str]:
    """What is wrong with the offsets, in words; empty for a valid layout.

    A walk through time with the address ranges of the living in order: two neighbours that overlap
    are found when the second is born. O(n log n) comparisons.
    """
    if len(offsets) != len(buffers):
        return [f"{len(offsets)} offsets for {len(buffers)} buffers"]
    begin, ids = offsets.tolist(), buffers.ids
    end = (offsets + buffers.size_bytes).tolist()
    found = []
    for row, name in enumerate(ids):
        if begin[row] < 0:
            found.append(f"buffer {name} begins at {begin[row]}")
        if capacity_bytes is not None and end[row] > capacity_bytes:
            found.append(f"buffer {name} ends at {end[row]}, beyond {capacity_bytes}")
    lower, upper = buffers.lower.tolist(), buffers.upper.tolist()
    # Deaths (0) before births (1) at one time: lifetimes are half-open.
    events = sorted(
        [(time, 0, row) for row, time in enumerate(upper)]
        + [(time, 1, row) for row, time in enumerate(lower)]
    )
    living: list[tuple[int, int]] = []  # (offset, row)
    for time, born, row in events:
        entry = (begin[row], row)
        if not born:
            living.remove(entry)
            continue
        place = bisect(living, entry)
        for _, other in living[max(place - 1, 0) : place + 1]:
            if begin[other] < end[row] and begin[row] < end[other]:
                found.append(f"buffers {ids[other]} and {ids[row]} share bytes at time {time}")
        insort(living, entry)
    return found
