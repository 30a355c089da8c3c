"""The solver behind a search: what was solved once is not solved again.

Variants that differ only in points before any unit (the optimizer step, say) have one problem in
common, apart from a floor under it: they are solved once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from planner.solve import lower_bound, smallest_peak, solve
from planner.solve.problem import Problem, Solution


@dataclass
class Solving:
    """Solutions so far.

    Attributes:
        seconds: spent in solvers.
    """

    solver: str
    segments: bool
    seconds: float = 0.0
    _within: dict[tuple[Problem, int], Solution | None] = field(default_factory=dict, repr=False)
    _bounds: dict[tuple[Problem, int], float] = field(default_factory=dict, repr=False)
    _smallest: dict[Problem, Solution] = field(default_factory=dict, repr=False)

    def within(self, problem: Problem, budget_bytes: int) -> Solution | None:
        """The cheapest choices within the budget; None where no choices fit."""
        core, floor = _apart(problem)
        if floor > budget_bytes:
            return None
        key = (core, budget_bytes)
        if key not in self._within:
            with self._timed():
                self._within[key] = solve(core, budget_bytes, self.solver, self.segments)
        found = self._within[key]
        return None if found is None else _on_floor(found, floor)

    def bound(self, problem: Problem, budget_bytes: int) -> float:
        """Seconds that no choices within the budget can undercut; infinite where none fit."""
        core, floor = _apart(problem)
        if floor > budget_bytes:
            return math.inf
        key = (core, budget_bytes)
        if key not in self._bounds:
            with self._timed():
                self._bounds[key] = lower_bound(core, budget_bytes, self.segments)
        return self._bounds[key]

    def smallest(self, problem: Problem) -> Solution:
        """The least peak, with the fewest seconds found for it."""
        core, floor = _apart(problem)
        if core not in self._smallest:
            with self._timed():
                self._smallest[core] = smallest_peak(core, self.segments)
        least = self._smallest[core]
        if least.peak_bytes < floor:
            least = self.within(problem, floor) or least
        return _on_floor(least, floor)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started


def _apart(problem: Problem) -> tuple[Problem, int]:
    """The problem without the points that no choice moves, and the highest of those."""
    moved = tuple(gap for gap in problem.gaps if gap.after)
    floor = max((gap.level_bytes for gap in problem.gaps if not gap.after), default=0)
    return replace(problem, gaps=moved), floor


def _on_floor(solution: Solution, floor: int) -> Solution:
    return replace(solution, peak_bytes=max(solution.peak_bytes, floor))
