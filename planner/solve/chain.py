"""A dynamic programme over the chain: which option each unit takes, one option for each.

With a budget B, `room[u]` is the largest prefix of saved bytes from which units u, u+1, ... can
still be finished:

    room[n] = B - level(gap n)
    room[u] = min(B - level(gap u), max over o of min(B - need(u, o), room[u+1] - saved(o)))

where need(u, o) is the higher of the unit's two points without the prefix. This is exact, O(n m)
and only shifts with B, so the least peak of all is -room[0] at B = 0. The least *seconds* depend
on the prefix as well:

    value[u, s] = min over o with s <= B - need(u, o) of seconds(o) + value[u+1, s + saved(o)]

Here s is discretised, O(n m cells). The values only rank the options: the choices are made forward
with the exact prefix and exact rooms, so rounding can cost seconds but neither the budget nor
feasibility. The same values with every size rounded down bound the optimum from below, which
proves the solution's gap.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from planner.solve.problem import Problem, Solution
from planner.solve.reduce import (
    Options,
    assignments,
    gap_levels,
    pairs,
    relative_gap,
    solution,
    useful_options,
)

Floats = NDArray[np.float64]

SHARED_LIMIT = 512
"""Ways to fix shared units that are all tried; beyond, each group's options are thinned."""


def solve_chain(problem: Problem, budget_bytes: int, *, cells: int = 1 << 16) -> Solution | None:
    """The cheapest choice found within the budget, with a proven gap; None: infeasible."""
    started = time.perf_counter()
    ways, complete = assignments(problem, useful_options(problem), SHARED_LIMIT)
    best: tuple[float, list[int]] | None = None
    bound = np.inf
    for options in ways:
        if rooms(problem, options)[0] + budget_bytes < 0.0:
            continue
        low = _values(problem, options, budget_bytes, cells, nearest=False)[0][0, 0]
        bound = min(bound, low)
        if best is not None and low >= best[0]:
            continue
        taken = _taken(problem, options, budget_bytes, cells)
        cost = sum(
            unit.options[option].seconds for unit, option in zip(problem.units, taken, strict=True)
        )
        if best is None or cost < best[0]:
            best = cost, taken
    if best is None:
        return None
    gap = relative_gap(best[0], float(bound)) if complete else None
    return solution(problem, best[1], "chain", started, gap)


def least_peak(problem: Problem) -> Solution:
    """The least peak that one option for each unit can reach; exact unless groups were thinned."""
    started = time.perf_counter()
    ways, _ = assignments(problem, useful_options(problem), SHARED_LIMIT)
    found = [(rooms(problem, options), options) for options in ways]
    room, options = max(found, key=lambda pair: float(pair[0][0]))
    taken: list[int] = []
    prefix = 0.0
    for unit, numbers in enumerate(options):
        slack = [
            min(-_need(problem, unit, o), room[unit + 1] - _saved(problem, unit, o))
            for o in numbers
        ]
        taken.append(numbers[int(np.argmax(slack))])
        prefix += _saved(problem, unit, taken[-1])
    return solution(problem, taken, "chain", started, None)


def chain_bound(problem: Problem, budget_bytes: int, *, cells: int = 1 << 15) -> float:
    """Seconds that no choice within the budget can undercut; shared units are taken apart."""
    options = useful_options(problem)
    if rooms(problem, options)[0] + budget_bytes < 0.0:
        return np.inf
    return float(_values(problem, options, budget_bytes, cells, nearest=False)[0][0, 0])


def rooms(problem: Problem, options: Options) -> Floats:
    """`room[u]` at a budget of zero: add the budget."""
    gaps = gap_levels(problem)
    room = -gaps
    for unit in reversed(range(len(problem.units))):
        reach = max(
            min(-_need(problem, unit, o), room[unit + 1] - _saved(problem, unit, o))
            for o in options[unit]
        )
        room[unit] = min(room[unit], reach)
    return room


def _need(problem: Problem, unit: int, option: int) -> int:
    """The higher of the unit's two points, without what the units before saved."""
    link = problem.units[unit]
    taken = link.options[option]
    return max(
        link.forward_level_bytes + taken.forward_bytes,
        link.backward_level_bytes + taken.backward_bytes,
    )


def _saved(problem: Problem, unit: int, option: int) -> int:
    return problem.units[unit].options[option].saved_bytes


def _values(
    problem: Problem, options: Options, budget_bytes: int, cells: int, *, nearest: bool
) -> tuple[Floats, float]:
    """`value[u, cell]`, where a cell is a prefix of `cell * size` bytes; and that size.

    Sizes are rounded to the nearest cell, so that errors cancel, or down, so that every value is a
    lower bound. They are exact where all sizes are multiples of a large enough number of bytes.
    """
    count = len(problem.units)
    room = rooms(problem, options) + budget_bytes
    sizes = [_saved(problem, unit, option) for unit, option in pairs(options)]
    # Without a gap after the last unit nothing bounds what it saves.
    room[count] = min(room[count], float(room[count - 1]) + max(sizes))
    size = max(math.gcd(*sizes), float(room.max()) / cells, 1.0)
    slack = 0.5 if nearest else 0.0
    value = np.full((count + 1, cells + 2), np.inf)
    value[count, : _cells_within(room[count], size, slack)] = 0.0
    for unit in reversed(range(count)):
        for number in options[unit]:
            shift = int(_saved(problem, unit, number) / size + slack)
            cap = min(budget_bytes - _need(problem, unit, number), room[unit])
            fit = min(_cells_within(cap, size, slack), cells + 2 - shift)
            if fit > 0:
                cost = (
                    value[unit + 1, shift : shift + fit]
                    + problem.units[unit].options[number].seconds
                )
                np.minimum(value[unit, :fit], cost, out=value[unit, :fit])
    return value, size


def _cells_within(cap_bytes: float, size: float, slack: float) -> int:
    """How many cells, counted from zero, are within the cap when rounded."""
    return int(cap_bytes / size + slack) + 1 if cap_bytes >= 0.0 else 0


def _taken(problem: Problem, options: Options, budget_bytes: int, cells: int) -> list[int]:
    """Options chosen forward, by the values and within the exact rooms."""
    room = rooms(problem, options) + budget_bytes
    value, size = _values(problem, options, budget_bytes, cells, nearest=True)
    taken: list[int] = []
    prefix = 0
    for unit, numbers in enumerate(options):
        ranked = []
        for number in numbers:
            after = prefix + _saved(problem, unit, number)
            slack = min(
                budget_bytes - _need(problem, unit, number) - prefix, room[unit + 1] - after
            )
            if slack >= 0:
                cell = min(int(after / size + 0.5), cells + 1)
                cost = problem.units[unit].options[number].seconds + value[unit + 1, cell]
                ranked.append((cost, -slack, number))
        taken.append(min(ranked)[2])
        prefix += _saved(problem, unit, taken[-1])
    return taken
