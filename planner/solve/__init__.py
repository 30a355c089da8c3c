"""Solvers: which option each unit takes, so that a step fits a budget at the least added time."""

from __future__ import annotations

from collections.abc import Callable

from planner.solve.chain import least_peak, solve_chain
from planner.solve.milp import solve_milp
from planner.solve.problem import Problem, Solution

Solver = Callable[[Problem, int], Solution | None]

SOLVERS: dict[str, Solver] = {"milp": solve_milp, "chain": solve_chain}


def solve(
    problem: Problem, budget_bytes: int, solver: str = "milp", segments: bool = True
) -> Solution | None:
    """The cheapest choices within the budget; None where no choices fit."""
    return SOLVERS[solver](problem, budget_bytes)


def smallest_peak(problem: Problem, segments: bool = True) -> Solution:
    """The least peak that any choices reach, at the least seconds for that peak."""
    least = least_peak(problem)
    return solve_milp(problem, least.peak_bytes) or least
