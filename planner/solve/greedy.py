"""A quick bound: from everything kept, the cheapest exchanges until the budget holds.

At the point furthest over the budget, the exchange of one unit's option (or of one group's, where
units share a module) that costs the least seconds for each byte it takes off there, among those
that lower the total excess of all points; then a pass that undoes what is not needed any more.
O(n m) a step. Where no exchange helps, the choice with the least peak is the start of that pass.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from planner.solve.chain import least_peak
from planner.solve.problem import Chosen, Problem, Solution
from planner.solve.reduce import groups, solution, useful_options


def solve_greedy(problem: Problem, budget_bytes: int) -> Solution | None:
    """A choice within the budget, without a proof; None: infeasible."""
    started = time.perf_counter()
    search = _Search(problem, budget_bytes)
    if not search.repair():
        fallback = least_peak(problem)
        if fallback.peak_bytes > budget_bytes:
            return None
        search.taken = np.array([c.option for c in fallback.choices if isinstance(c, Chosen)])
    search.undo()
    return solution(problem, [int(option) for option in search.taken], "greedy", started, None)


class _Search:
    """The options taken and every point's excess over the budget."""

    def __init__(self, problem: Problem, budget_bytes: int) -> None:
        units = problem.units
        self.groups = groups(problem)
        self.options = [(0, *(o for o in numbers if o)) for numbers in useful_options(problem)]
        width = max(len(unit.options) for unit in units)
        table = np.full((4, len(units), width), np.inf)
        for index, unit in enumerate(units):
            for option in self.options[index]:
                taken = unit.options[option]
                table[:, index, option] = (
                    taken.seconds,
                    taken.saved_bytes,
                    unit.forward_level_bytes + taken.forward_bytes - budget_bytes,
                    unit.backward_level_bytes + taken.backward_bytes - budget_bytes,
                )
        self.seconds, self.saved = table[0], table[1]
        self.need = np.maximum(table[2], table[3])
        self.useful = np.isfinite(self.seconds)
        self.group = np.zeros(len(units), int)
        for number, members in enumerate(self.groups):
            self.group[members] = number
        self.gap_after = np.array([gap.after for gap in problem.gaps], int)
        self.gap_level = np.array([gap.level_bytes - budget_bytes for gap in problem.gaps], float)
        self.rows = np.arange(len(units))
        self.taken = np.zeros(len(units), int)

    def excess(self, taken: NDArray[np.int_]) -> NDArray[np.float64]:
        """Bytes over the budget at each unit, then at each gap."""
        prefix = np.concatenate(([0.0], np.cumsum(self.saved[self.rows, taken])))
        units = prefix[:-1] + self.need[self.rows, taken]
        return np.concatenate((units, prefix[self.gap_after] + self.gap_level))

    def repair(self) -> bool:
        """Exchange until nothing exceeds the budget; False where no exchange helps."""
        excess = self.excess(self.taken)
        while excess.max() > 0.0:
            exchange = self._exchange(int(excess.argmax()), excess)
            if exchange is None:
                return False
            self.taken = exchange
            excess = self.excess(self.taken)
        return True

    def undo(self) -> None:
        """Let each group take the cheapest option that still fits, the dearest first."""
        seconds = self.seconds[self.rows, self.taken]
        for members in sorted(self.groups, key=lambda units: -float(seconds[units].sum())):
            current = self.taken[members[0]]
            for option in sorted(
                self.options[members[0]], key=lambda o: float(self.seconds[members, o].sum())
            ):
                if option == current:
                    break
                trial = self._with(members, option)
                if self.excess(trial).max() <= 0.0:
                    self.taken = trial
                    break

    def _with(self, members: list[int], option: int) -> NDArray[np.int_]:
        trial = self.taken.copy()
        trial[members] = option
        return trial

    def _exchange(self, point: int, excess: NDArray[np.float64]) -> NDArray[np.int_] | None:
        """The cheapest exchange at the point that lowers the total excess."""
        count = len(self.rows)
        before = point if point < count else int(self.gap_after[point - count])
        gain = np.where(
            (self.rows < before)[:, None],
            self.saved[self.rows, self.taken][:, None] - self.saved,
            0.0,
        )
        if point < count:
            gain[point] = self.need[point, self.taken[point]] - self.need[point]
        cost = self.seconds - self.seconds[self.rows, self.taken][:, None]
        gains, costs = np.zeros_like(gain), np.zeros_like(cost)
        np.add.at(gains, self.group, np.where(self.useful, gain, 0.0))
        np.add.at(costs, self.group, np.where(self.useful, cost, 0.0))
        numbers, options = np.nonzero(gains > 0.0)
        won = np.minimum(gains[numbers, options], excess[point])
        total = np.maximum(excess, 0.0).sum()
        for best in np.argsort(costs[numbers, options] / won, kind="stable"):
            trial = self._with(self.groups[numbers[best]], int(options[best]))
            if np.maximum(self.excess(trial), 0.0).sum() < total:
                return trial
        return None
