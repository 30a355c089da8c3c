"""Buffers for tests: random ones, and ones known to fill a capacity without a gap."""

import itertools

import numpy as np
from hypothesis import strategies as st

from planner.arena import Buffers


def buffers_of(*rows):
    """Buffers of `(lower, upper, size)`, named by their number."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Buffers(tuple(map(str, range(len(table)))), table[:, 0], table[:, 1], table[:, 2])


@st.composite
def random_buffers(draw, most=40):
    row = st.tuples(st.integers(0, 30), st.integers(1, 15), st.integers(1, 20))
    rows = draw(st.lists(row, min_size=1, max_size=most))
    return buffers_of(*((lower, lower + life, size) for lower, life, size in rows))


def filled(count, capacity=1024, *, seed=0):
    """Time times capacity, cut into `count` rectangles: they fit, and leave nothing free.

    Like MiniMalloc's instances: as many bytes alive as there is capacity, at all times.
    """
    random = np.random.default_rng(seed)
    pieces = [(0, 8 * count, 0, capacity)]
    while len(pieces) < count:
        weights = np.array([(b - a) * (d - c) for a, b, c, d in pieces], dtype=float)
        lower, upper, begin, end = pieces.pop(random.choice(len(pieces), p=weights / weights.sum()))
        if upper - lower > 1 and (random.random() < 0.5 or end - begin == 1):
            cut = int(random.integers(lower + 1, upper))
            pieces += [(lower, cut, begin, end), (cut, upper, begin, end)]
        elif end - begin > 1:
            cut = int(random.integers(begin + 1, end))
            pieces += [(lower, upper, begin, cut), (lower, upper, cut, end)]
        else:
            pieces.append((lower, upper, begin, end))
    random.shuffle(pieces)
    return buffers_of(*((lower, upper, end - begin) for lower, upper, begin, end in pieces))


def level(capacity, times, longest, seed):
    """As many bytes alive at each of the times as the capacity, but maybe no layout in it."""
    random = np.random.default_rng(seed)
    rows = []
    for time in range(times):
        free = capacity - sum(size for _, upper, size in rows if upper > time)
        while free:
            size, life = int(random.integers(1, free + 1)), int(random.integers(1, longest + 1))
            rows.append((time, time + life, size))
            free -= size
    return buffers_of(*rows)


def has_layout(buffers, capacity):
    """By trying every offset of every buffer."""
    rows = list(zip(*(column.tolist() for column in columns(buffers)), strict=True))

    def place(placed):
        if len(placed) == len(rows):
            return True
        lower, upper, size = rows[len(placed)]
        meets = [(o, o + s) for (a, b, s), o in placed if a < upper and lower < b]
        return any(
            place([*placed, (rows[len(placed)], offset)])
            for offset in range(capacity - size + 1)
            if all(end <= offset or offset + size <= begin for begin, end in meets)
        )

    return place([])


def least_height(buffers):
    """By trying every order: in one of them, putting each as low as it goes is the best layout."""
    rows = list(zip(*(column.tolist() for column in columns(buffers)), strict=True))
    return min(_stacked(order) for order in itertools.permutations(rows))


def columns(buffers):
    return buffers.lower, buffers.upper, buffers.size_bytes


def _stacked(order):
    placed = []
    for lower, upper, size in order:
        meets = sorted((o, e) for a, b, o, e in placed if a < upper and lower < b)
        offset = 0
        for begin, end in meets:
            if begin - offset >= size:
                break
            offset = max(offset, end)
        placed.append((lower, upper, offset, offset + size))
    return max(end for *_, end in placed)
