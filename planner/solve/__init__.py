"""Solvers: which option each unit takes, so that a step fits a budget at the least added time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from planner.solve.chain import chain_bound, least_peak, solve_chain
from planner.solve.greedy import solve_greedy
from planner.solve.milp import solve_milp
from planner.solve.problem import Option, Problem, Solution
from planner.solve.segments import least_peak_segments, solve_segments

__all__ = [
    "SOLVERS",
    "Solver",
    "lower_bound",
    "smallest_peak",
    "solve",
    "solve_segments",
]

Solver = Callable[[Problem, int], Solution | None]

SOLVERS: dict[str, Solver] = {"milp": solve_milp, "chain": solve_chain, "greedy": solve_greedy}
"""Each chooses one option for each unit; None where no choice fits the budget."""

WORTH = 1e-3
"""Segments are not looked for where they provably save less than this part of the seconds."""


def solve(
    problem: Problem, budget_bytes: int, solver: str = "milp", segments: bool = True
) -> Solution | None:
    """The cheapest choices within the budget; None where no choices fit.

    Units one by one by the named solver; where that finds nothing or where segments may be
    cheaper, segments too.
    """
    if not problem.units:  # a network that saves nothing, such as a reversible one
        only = least_peak(problem)
        return only if only.peak_bytes <= budget_bytes else None
    single = SOLVERS[solver](problem, budget_bytes)
    if not segments or not _segments_may_win(problem, budget_bytes, single):
        return single
    return _cheaper(single, solve_segments(problem, budget_bytes))


def smallest_peak(problem: Problem, segments: bool = True) -> Solution:
    """The least peak that any choices reach, with the fewest seconds found for that peak."""
    least = least_peak(problem)
    if segments and any(problem.segmentable):
        nested = least_peak_segments(problem)
        least = min(nested, least, key=lambda one: (one.peak_bytes, one.seconds))
    return _cheaper(solve(problem, least.peak_bytes, segments=segments), least) or least


def _cheaper(one: Solution | None, other: Solution | None) -> Solution | None:
    found = [each for each in (one, other) if each is not None]
    return min(found, key=lambda each: (each.seconds, each.peak_bytes), default=None)


def _segments_may_win(problem: Problem, budget_bytes: int, single: Solution | None) -> bool:
    """Whether a relaxation leaves room for segments."""
    if not any(problem.segmentable):
        return False
    if single is None:
        return True
    return lower_bound(problem, budget_bytes) < single.seconds * (1.0 - WORTH)


def lower_bound(problem: Problem, budget_bytes: int, segments: bool = True) -> float:
    """Seconds that no choices within the budget can undercut.

    A unit inside a segment costs at least one forward, whatever is saved there, and its backward
    at least the working set of some option; as an option of a chain that bounds every segment.
    """
    if not problem.units:
        return 0.0 if least_peak(problem).peak_bytes <= budget_bytes else math.inf
    if not segments or not any(problem.segmentable):
        return chain_bound(problem, budget_bytes)
    units = tuple(
        replace(
            unit,
            kind=unit.name,
            shares=None,
            options=(
                *unit.options,
                Option(
                    label="in a segment",
                    seconds=unit.forward_seconds,
                    saved_bytes=0,
                    forward_bytes=0,
                    backward_bytes=min(option.backward_bytes for option in unit.options),
                ),
            ),
        )
        for unit in problem.units
    )
    return chain_bound(replace(problem, units=units), budget_bytes)
