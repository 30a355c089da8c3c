"""Many budgets at once: distinct solutions from the least peak to everything kept."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from planner.solve.problem import Problem, Solution
from planner.solve.reduce import solution


def everything_kept(problem: Problem) -> Solution:
    """The first option for each unit."""
    return solution(problem, [0] * len(problem.units), "kept", time.perf_counter(), 0.0)


def spread(
    solve: Callable[[int], Solution | None], least: Solution, most: Solution, points: int
) -> list[Solution]:
    """Up to `points` solutions by ascending peak and descending seconds, from least to most.

    Budgets are even in bytes; duplicates and what another solution beats are dropped and the
    widest stretches where something may still be found are halved, with at most `2 * points` more
    solves. `solve` holds for every budget from its solution's peak to the one asked.
    """
    found = [least, most]
    stretches: list[tuple[int, int]] = []
    low = least.peak_bytes
    for budget in np.linspace(least.peak_bytes, most.peak_bytes, points).astype(int)[1:-1]:
        low = _ask(solve, low, int(budget), found, stretches)
    stretches.append((low, most.peak_bytes))
    for _ in range(2 * points):
        stretches = [stretch for stretch in stretches if stretch[1] - stretch[0] > 1]
        if not stretches or len(_improving(found)) >= points:
            break
        begin, end = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
        stretches.remove((begin, end))
        middle = _ask(solve, begin, (begin + end) // 2, found, stretches)
        stretches.append((middle, end))
    return _improving(found)


def _ask(
    solve: Callable[[int], Solution | None],
    low: int,
    budget: int,
    found: list[Solution],
    stretches: list[tuple[int, int]],
) -> int:
    """Solve one budget; what lies between its peak and the budget needs no more asking."""
    answer = solve(budget)
    if answer is not None:
        found.append(answer)
        stretches.append((low, min(answer.peak_bytes, budget)))
    return budget


def _improving(found: list[Solution]) -> list[Solution]:
    """Those that no other beats, by ascending peak and so by descending seconds."""
    kept: list[Solution] = []
    for candidate in sorted(found, key=lambda one: (one.peak_bytes, one.seconds)):
        if not kept or candidate.seconds < kept[-1].seconds:
            kept.append(candidate)
    return kept
