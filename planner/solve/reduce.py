"""What the solvers do to a problem first: drop options that cannot help, fix those that are shared.

Option p dominates option o when it has no more seconds and no more bytes in any of the three
amounts; then no optimum needs o. Units that run the same module take the same option, so there p
must dominate o in each of them.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planner.solve.problem import Chosen, Problem, Solution, Unit, peak_bytes, seconds

Options = tuple[tuple[int, ...], ...]
"""For each unit, the numbers of the options that a solver still looks at, ascending."""


def useful_options(problem: Problem) -> Options:
    """Each unit's options that no other dominates; of equal ones, the first."""
    keep: list[tuple[int, ...]] = [()] * len(problem.units)
    for members in groups(problem):
        dominates = _dominates(problem.units[members[0]])
        for unit in members[1:]:
            dominates &= _dominates(problem.units[unit])
        alive = tuple(int(index) for index in np.flatnonzero(~dominates.any(axis=0)))
        for unit in members:
            keep[unit] = alive
    return tuple(keep)


def groups(problem: Problem) -> list[list[int]]:
    """Units that must take the same option, in the order of their first unit."""
    members: dict[tuple[str, int], list[int]] = {}
    for index, unit in enumerate(problem.units):
        key = ("own", index) if unit.shares is None else ("shared", unit.shares)
        members.setdefault(key, []).append(index)
    return list(members.values())


def assignments(problem: Problem, options: Options, limit: int) -> tuple[list[Options], bool]:
    """Every way to fix the options of units that share a module, and whether these are all.

    A dynamic programme has no memory of what an earlier unit took. Where there would be more than
    `limit` ways, each group's options are thinned evenly.
    """
    shared = [members for members in groups(problem) if len(members) > 1]
    lists = [options[members[0]] for members in shared]
    complete = math.prod(map(len, lists)) <= limit
    if not complete:
        each = max(1, int(limit ** (1 / len(lists))))
        lists = [_thinned(numbers, each) for numbers in lists]
    return [_fixed(options, shared, numbers) for numbers in itertools.product(*lists)], complete


def solution(
    problem: Problem, taken: list[int], solver: str, started: float, gap: float | None
) -> Solution:
    """Option `taken[u]` for each unit, with the exact seconds and peak of it."""
    choices = tuple(Chosen(unit, option) for unit, option in enumerate(taken))
    return Solution(
        choices=choices,
        seconds=seconds(problem, choices),
        peak_bytes=peak_bytes(problem, choices),
        solver=solver,
        solve_seconds=time.perf_counter() - started,
        gap=gap,
    )


def gap_levels(problem: Problem) -> NDArray[np.float64]:
    """The highest gap after each number of units, minus infinity where there is none."""
    highest = np.full(len(problem.units) + 1, -np.inf)
    for gap in problem.gaps:
        highest[gap.after] = max(highest[gap.after], gap.level_bytes)
    return highest


def relative_gap(value: float, bound: float) -> float:
    """How far `value` may be above an optimum that is not below `bound`."""
    return max(0.0, value - bound) / value if value > 0.0 else 0.0


def _dominates(unit: Unit) -> NDArray[np.bool_]:
    """`[p, o]`: whether option p dominates option o."""
    table = np.array(
        [(o.seconds, o.saved_bytes, o.forward_bytes, o.backward_bytes) for o in unit.options]
    )
    no_worse = (table[:, None] <= table[None]).all(axis=2)
    better = (table[:, None] < table[None]).any(axis=2)
    number = np.arange(len(table))
    return np.asarray(no_worse & (better | (number[:, None] < number[None])))


def _thinned(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    picked = np.unique(np.linspace(0, len(numbers) - 1, count).round().astype(int))
    return tuple(numbers[index] for index in picked)


def _fixed(options: Options, shared: list[list[int]], numbers: tuple[int, ...]) -> Options:
    fixed = list(options)
    for members, number in zip(shared, numbers, strict=True):
        for unit in members:
            fixed[unit] = (number,)
    return tuple(fixed)


def pairs(options: Options) -> Iterator[tuple[int, int]]:
    """Every unit with each of its options."""
    for unit, numbers in enumerate(options):
        for number in numbers:
            yield unit, number
