"""Nested segments: Rotor's dynamic programme with options for each unit.

Herrmann, Beaumont, Eyraud-Dubois, Hermann, Joly, Shilova (2019), "Optimal checkpointing for
heterogeneous chains", arXiv 1911.13214. With h the bytes held before unit i:

    inside[i, j](h)   least seconds for the backward of units i..j, the rest of a segment that ends
                      with j and began before i
    segment[i, j](h)  the same where the segment begins with i, so that its input is held already
    top[i](h)         least seconds for units i.. of the chain itself

each the least of "unit i takes option o, then go on after it" and "units i..l are a segment". As in
`chain.py` the largest h from which they can be finished (a *room*) has the same recursion with max
and min, exact without cells and only shifted by the budget. The values are kept for cells of h and
interpolated between them, and only rank the choices, which are made with exact bytes inside exact
rooms. So the result never exceeds the budget and is found whenever the budget is not below the
least peak.

Time O(n^3 cells + n^2 m cells), both for whole numpy rows; memory O(n^2 cells).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planner.solve.problem import (
    Choice,
    Chosen,
    Problem,
    Segment,
    Solution,
    peak_bytes,
    saved_bytes,
    seconds,
)
from planner.solve.reduce import Options, assignments, gap_levels, pairs, useful_options

SHARED_LIMIT = 32
"""Ways to fix shared units that are all tried; beyond, each group's options are thinned."""

Values32 = NDArray[np.float32]

FAR = 1e30
"""Seconds of what cannot be finished; finite, so that interpolation makes no NaN of it."""


def solve_segments(
    problem: Problem, budget_bytes: int, *, cells: int | None = None
) -> Solution | None:
    """The cheapest choices found, segments among them; None: infeasible.

    Optimal up to the cells, without a proof: `gap` is None.
    """
    started = time.perf_counter()
    count = max(1, len(problem.units))
    cells = cells or int(np.clip(4e6 / count**2, 512, 2048))
    found = []
    for options in assignments(problem, useful_options(problem), SHARED_LIMIT)[0]:
        rooms = Rooms(problem, options)
        if rooms.top[0] + budget_bytes >= 0.0:
            choices = Values(rooms, budget_bytes, cells).choices()
            found.append((seconds(problem, choices), choices))
    if not found:
        return None
    return _solution(problem, min(found, key=lambda pair: pair[0])[1], started)


def least_peak_segments(problem: Problem) -> Solution:
    """The least peak with segments; exact unless groups of shared units were thinned."""
    started = time.perf_counter()
    ways, _ = assignments(problem, useful_options(problem), SHARED_LIMIT)
    best = max((Rooms(problem, options) for options in ways), key=lambda r: float(r.top[0]))
    budget = int(-best.top[0])
    return _solution(problem, Values(best, budget, 256).choices(), started)


def _solution(problem: Problem, choices: tuple[Choice, ...], started: float) -> Solution:
    return Solution(
        choices=choices,
        seconds=seconds(problem, choices),
        peak_bytes=peak_bytes(problem, choices),
        solver="segments",
        solve_seconds=time.perf_counter() - started,
    )


class Rooms:
    """The problem as arrays, and the largest bytes held at a budget of zero: add the budget."""

    def __init__(self, problem: Problem, options: Options) -> None:
        units = problem.units
        self.problem, self.options, self.count = problem, options, len(units)
        self.backward = np.array([unit.backward_level_bytes for unit in units], float)
        self.gaps = gap_levels(problem)
        self.inside = np.full((self.count + 1, self.count), -np.inf)
        for last in range(self.count):
            self.inside[last + 1, last] = np.inf  # nothing left to do
        # Where every option holds its unit's input, it matters not who else holds it.
        self.inputs_held = all(
            units[unit].options[option].saved_bytes >= units[unit].input_bytes
            for unit, option in pairs(options)
        )
        self.segment = self.inside if self.inputs_held else np.full_like(self.inside, -np.inf)
        self.top = -self.gaps
        for first in reversed(range(self.count)):
            self._fill(first)

    def own_caps(self, first: int, option: int) -> tuple[NDArray[np.float64], float]:
        """Most bytes held where unit `first` takes the option: inside, by end; and at the top."""
        unit = self.problem.units[first]
        taken = unit.options[option]
        back = -float(unit.backward_level_bytes + taken.backward_bytes)
        again = -(self.backward[first:] + unit.input_bytes + taken.forward_bytes)
        return np.minimum(again, back), min(
            back, -float(unit.forward_level_bytes + taken.forward_bytes)
        )

    def segment_caps(self, first: int) -> Iterator[tuple[int, NDArray[np.float64], float]]:
        """Each segment that may begin with the unit: its last, and caps as of `own_caps`.

        Only what bounds running the segment's units without saving; not its backward.
        """
        units, held = self.problem.units, self.problem.units[first].input_bytes
        free = units[first].transient_bytes
        forward = float(units[first].forward_level_bytes + free)
        for last in range(first + 1, self.count):
            if last > len(self.problem.segmentable) or not self.problem.segmentable[last - 1]:
                return
            unit = units[last]
            free = max(free, unit.transient_bytes + unit.input_bytes)
            forward = max(forward, unit.forward_level_bytes + held + unit.transient_bytes)
            forward = max(forward, self.gaps[last] + held)
            yield last, -(self.backward[last + 1 :] + held + free), -forward

    def _fill(self, first: int) -> None:
        held = self.problem.units[first].input_bytes
        after = self.inside[first + 1, first:]
        inside, segment = self.inside[first, first:], self.segment[first, first:]
        top = -np.inf
        for number in self.options[first]:
            saved = self.problem.units[first].options[number].saved_bytes
            caps, cap = self.own_caps(first, number)
            np.maximum(inside, np.minimum(caps, after - saved), out=inside)
            np.maximum(segment, np.minimum(caps, after - max(saved, held)), out=segment)
            top = max(top, min(cap, self.top[first + 1] - saved))
        for last, caps, cap in self.segment_caps(first):
            nested = self.segment[first, last]
            top = max(top, min(cap, nested, self.top[last + 1] - held))
            room = np.minimum(np.minimum(caps, nested), self.inside[last + 1, last + 1 :] - held)
            for table in (inside, segment):
                np.maximum(table[last + 1 - first :], room, out=table[last + 1 - first :])
        self.top[first] = min(self.top[first], top)


class Values:
    """Least seconds by bytes held, in cells, for one budget; and the choices they lead to."""

    def __init__(self, rooms: Rooms, budget_bytes: int, cells: int) -> None:
        self.rooms, self.budget, self.cells = rooms, budget_bytes, cells
        count = rooms.count
        reach = [table[np.isfinite(table)] for table in (rooms.top, rooms.inside, rooms.segment)]
        widest = max(float(table.max(initial=0.0 - budget_bytes)) for table in reach)
        self.size = max(1.0, (widest + budget_bytes) / (cells - 1))
        self.grid = self.size * np.arange(cells)
        self.run = np.cumsum([0.0] + [unit.forward_seconds for unit in rooms.problem.units])
        self.inside = np.full((count + 1, count, cells), FAR, np.float32)
        for last in range(count):
            self.inside[last + 1, last] = 0.0
        self.segment = self.inside if rooms.inputs_held else np.full_like(self.inside, FAR)
        self.top = np.full((count + 1, cells), FAR, np.float32)
        self.top[count] = 0.0
        for first in reversed(range(count)):
            self._fill(first)

    def choices(self, first: int = 0, end: int | None = None, held: int = 0) -> tuple[Choice, ...]:
        """The choices for the whole chain or, with `end`, inside the segment `first` to `end`."""
        begin, input_bytes = first, self.rooms.problem.units[first].input_bytes
        stop = self.rooms.count if end is None else end + 1
        chosen: list[Choice] = []
        while first < stop:
            # The segment holds its input, and its first choice does not hold that once more.
            least = input_bytes if end is not None and first == begin else 0
            option, last = self._best(first, end, held, least)
            if option is None:
                inside = self.choices(first, last, held)
                chosen.append(Segment(first, last, inside))
            else:
                chosen.append(Chosen(first, option))
            held += max(saved_bytes(self.rooms.problem, chosen[-1]), least)
            first = last + 1
        return tuple(chosen)

    def _best(self, first: int, end: int | None, held: int, least: int) -> tuple[int | None, int]:
        """The best option of unit `first`, or None and the last unit of the best segment."""
        rooms, unit = self.rooms, self.rooms.problem.units[first]
        if end is None:
            values, rest, at = self.top, rooms.top, 0
        else:
            values, rest, at = self.inside[:, end], rooms.inside[:, end], end
        # (seconds, minus the bytes to spare, option or -1, last unit)
        ranked: list[tuple[float, float, int, int]] = []
        for number in rooms.options[first]:
            caps, cap = rooms.own_caps(first, number)
            after = held + max(unit.options[number].saved_bytes, least)
            own = cap if end is None else float(caps[at - first])
            slack = min(own - held, rest[first + 1] - after) + self.budget
            cost = unit.options[number].seconds + self._at(values[first + 1], after)
            ranked.append((cost, -slack, number, first))
        for last, caps, cap in rooms.segment_caps(first):
            if end is not None and last >= end:
                break
            after = held + unit.input_bytes
            own = cap if end is None else float(caps[at - last - 1])
            nested = rooms.segment[first, last]
            slack = min(own - held, nested - held, rest[last + 1] - after) + self.budget
            cost = self._at(self.segment[first, last], held) + self._at(values[last + 1], after)
            ranked.append((cost + self.run[last + 1] - self.run[first], -slack, -1, last))
        *_, option, last = min(entry for entry in ranked if entry[1] <= 0.0)
        return (None if option < 0 else option), last

    def _at(self, value: Values32, held: int) -> float:
        cell, part = int(held / self.size), held / self.size % 1.0
        low, high = value[min(cell, self.cells - 1)], value[min(cell + 1, self.cells - 1)]
        return float(low * (1 - part) + high * part)

    def _fill(self, first: int) -> None:
        units, rooms = self.rooms.problem.units, self.rooms
        held = units[first].input_bytes
        inside, segment = self.inside[first, first:], self.segment[first, first:]
        after, room = self.inside[first + 1, first:], rooms.inside[first + 1, first:]
        for number in rooms.options[first]:
            option = units[first].options[number]
            caps, cap = rooms.own_caps(first, number)
            saved = option.saved_bytes
            self._offer(inside, after, saved, np.minimum(caps, room - saved), option.seconds)
            top = np.minimum(cap, rooms.top[first + 1] - saved)
            self._offer(self.top[first], self.top[first + 1], saved, top, option.seconds)
            if rooms.inputs_held:
                continue
            saved = max(saved, held)
            self._offer(segment, after, saved, np.minimum(caps, room - saved), option.seconds)
        for last, caps, cap in rooms.segment_caps(first):
            nested = self.segment[first, last] + np.float32(self.run[last + 1] - self.run[first])
            own = rooms.segment[first, last]
            top = np.minimum(min(cap, own), rooms.top[last + 1] - held)
            self._offer(self.top[first], self.top[last + 1], held, top, nested)
            rest = self.inside[last + 1, last + 1 :]
            caps = np.minimum(np.minimum(caps, own), rooms.inside[last + 1, last + 1 :] - held)
            for table in (inside,) if rooms.inputs_held else (inside, segment):
                self._offer(table[last + 1 - first :], rest, held, caps, nested)
        self._extend(inside, rooms.inside[first, first:])
        self._extend(segment, rooms.segment[first, first:])
        self._extend(self.top[first], rooms.top[first])

    def _offer(
        self,
        table: Values32,
        after: Values32,
        saved: int,
        caps: NDArray[np.float64],
        cost: float | Values32,
    ) -> None:
        """Lower the table to `after`, with `saved` more bytes held, plus the cost."""
        cell, part = int(saved / self.size), np.float32(saved / self.size % 1.0)
        # No cell in which more bytes are held than all can hold is within the caps.
        width = self.cells - cell - 1
        if width > 0:
            offer = after[..., cell:-1] * (1 - part) + after[..., cell + 1 :] * part
            offer += cost[:width] if isinstance(cost, np.ndarray) else np.float32(cost)
            within = self.grid[:width] <= caps[..., None] + self.budget
            lower = table[..., :width]
            np.minimum(lower, offer, out=lower, where=within)

    def _extend(self, table: Values32, rooms: NDArray[np.float64]) -> None:
        """Beyond the room, the value at its last cell: so that interpolation sees no edge."""
        cell = np.clip((rooms + self.budget) / self.size, 0, self.cells - 1).astype(int)
        edge = np.take_along_axis(table, cell[..., None], axis=-1)
        np.copyto(table, edge, where=np.arange(self.cells) > cell[..., None])
