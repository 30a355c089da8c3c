"""The mixed-integer programme of a problem, solved by HiGHS (`scipy.optimize.milp`).

Runs of alike units are integer counts of each option (`blocks.py`), other units one binary for each
option; dominated options and points that another point implies are left out. The prefix of saved
bytes is a variable at each border between blocks, which keeps the matrix sparse.

Bytes are scaled to the budget and HiGHS works in floating point: a result is checked with
`peak_bytes`, and where a tolerance let it exceed the budget, the programme is solved again with
that much less.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.solve.blocks import Block, Line, run_blocks, single_blocks
from planner.solve.chain import least_peak, solve_chain
from planner.solve.problem import Problem, Solution
from planner.solve.reduce import Options, gap_levels, groups, relative_gap, solution, useful_options
from planner.solve.rows import Rows, Variables

GAP = 5e-4
"""Relative gap at which HiGHS stops: the last parts of it take most of the time."""

ENOUGH = 1e-3
"""A collapsed result within this of its bound is not improved by taking the units one by one."""


def solve_milp(
    problem: Problem, budget_bytes: int, *, seconds_limit: float = 10.0
) -> Solution | None:
    """The cheapest choice within the budget; None: infeasible.

    The gap is proven. Where a run's levels are not on a line, its lines above and below give a
    choice and a bound; only if these are apart are the units taken one by one.
    """
    started = time.perf_counter()
    options = useful_options(problem)
    fit = least_peak(problem)
    if fit.peak_bytes > budget_bytes:
        return None
    search = _Search(problem, options, budget_bytes, started + seconds_limit)
    runs = run_blocks(problem, options, budget_bytes / 2048)
    exact = all(block.exact for block in runs)
    best, bound = search.optimum(runs, above=True)
    if not exact:
        bound = search.optimum(runs, above=False)[1]
        if best is None or relative_gap(search.seconds(best), bound) > ENOUGH:
            other, sharper = search.optimum(single_blocks(problem, options), above=True)
            bound = max(bound, sharper)
            if other and (best is None or search.seconds(other) < search.seconds(best)):
                best = other
    if best is None:  # Out of time, or a budget that only exact arithmetic meets.
        return solve_chain(problem, budget_bytes) or fit
    gap = relative_gap(search.seconds(best), bound)
    return solution(problem, best, "milp", started, gap)


@dataclass
class _Search:
    """One budget's programmes."""

    problem: Problem
    options: Options
    budget_bytes: int
    deadline: float

    def optimum(self, blocks: list[Block], *, above: bool) -> tuple[list[int] | None, float]:
        """Options taken and a lower bound on the seconds.

        `above`: the lines are not below the levels, so that the choice fits the budget; otherwise
        not above them, so that the bound holds for every order and the choice is not used.
        """
        allowed = self.budget_bytes
        bound = -np.inf
        for _ in range(4):
            program = _Program(self.problem, blocks, allowed, above=above)
            remaining = self.deadline - time.perf_counter()
            counts, low = program.variables.solve(program.rows, remaining, GAP)
            if allowed == self.budget_bytes:
                bound = low
            if counts is None:
                return None, bound
            taken = program.taken(counts)
            excess = solution(self.problem, taken, "milp", 0.0, None).peak_bytes - self.budget_bytes
            if excess <= 0 or not above:
                return taken, bound
            allowed -= excess
        return None, bound

    def seconds(self, taken: list[int]) -> float:
        """Added seconds of the options."""
        units = self.problem.units
        return sum(unit.options[o].seconds for unit, o in zip(units, taken, strict=True))


class _Program:
    """Variables: counts, whether an option of a run is taken at all, prefixes at the borders."""

    def __init__(
        self, problem: Problem, blocks: list[Block], budget_bytes: int, *, above: bool
    ) -> None:
        self.problem, self.blocks, self.above = problem, blocks, above
        self.budget = float(budget_bytes)
        self.scale = max(1.0, self.budget) / 1e4  # the tolerances of HiGHS are absolute
        self.rows, self.variables = Rows(), Variables()
        self.counts: list[dict[int, int]] = []
        shared = {unit: members[0] for members in groups(problem) for unit in members}
        owner: dict[int, dict[int, int]] = {}
        for block in blocks:
            leader = shared[block.first]
            if leader not in owner:
                owner[leader] = {o: self.variables.add(block.count) for o in block.options}
            self.counts.append(owner[leader])
            for option, column in self.counts[-1].items():
                self.variables.cost[column] += problem.units[block.first].options[option].seconds
        self.prefix = [self.variables.add(integer=False) for _ in range(len(blocks) + 1)]
        self._constrain()

    def taken(self, values: NDArray[np.float64]) -> list[int]:
        """The option of each unit, in the blocks' order of options."""
        taken: list[int] = []
        for block, columns in zip(self.blocks, self.counts, strict=True):
            for option in block.options:
                taken += [option] * round(values[columns[option]])
        return taken

    def _at_most(self, terms: list[tuple[int, float]], bytes_: float) -> None:
        scaled = [(column, value / self.scale) for column, value in terms]
        self.rows.add(scaled, high=bytes_ / self.scale)

    def _constrain(self) -> None:
        gaps = gap_levels(self.problem)
        self.variables.upper[self.prefix[0]] = 0.0
        for number, block in enumerate(self.blocks):
            begin, end = self.prefix[number : number + 2]
            counts = self.counts[number]
            units = self.problem.units[block.first].options
            # [Constraint] Each unit of the block takes one option.
            self.rows.add([(c, 1.0) for c in counts.values()], low=block.count, high=block.count)
            # [Constraint] The prefix after the block holds what its units save.
            saved = [(c, units[o].saved_bytes / self.scale) for o, c in counts.items()]
            self.rows.add([*saved, (begin, 1.0), (end, -1.0)], low=0.0, high=0.0)
            # [Constraint] Gap: level + prefix <= budget.
            after = block.first + block.count
            if np.isfinite(gaps[after]):
                self.variables.upper[end] = (self.budget - gaps[after]) / self.scale
            if block.count == 1:
                self._single(block, begin, counts)
            else:
                self._run(block, begin, counts)

    def _single(self, block: Block, begin: int, counts: dict[int, int]) -> None:
        unit = self.problem.units[block.first]
        prefix = (begin, self.scale)
        # [Constraint] Backward: level + prefix + backward(o) <= budget.
        backward = [(c, float(unit.options[o].backward_bytes)) for o, c in counts.items()]
        self._at_most([prefix, *backward], self.budget - unit.backward_level_bytes)
        if block.forward_matters:
            # [Constraint] Forward: level + prefix + forward(o) <= budget.
            forward = [(c, float(unit.options[o].forward_bytes)) for o, c in counts.items()]
            self._at_most([prefix, *forward], self.budget - unit.forward_level_bytes)

    def _run(self, block: Block, begin: int, counts: dict[int, int]) -> None:
        options = self.problem.units[block.first].options
        used = {o: self.variables.add(1) for o in block.options}
        for option, flag in used.items():
            # [Constraint] An option with a count is used.
            self.rows.add([(counts[option], 1.0), (flag, -float(block.count))], high=0.0)
        need = {o: options[o].backward_bytes for o in block.options}
        self._points(block, begin, counts, used, block.backward, need)
        if block.forward_matters and self.above:
            need = {o: options[o].forward_bytes for o in block.options}
            self._points(block, begin, counts, used, block.forward, need)

    def _most_saved(self, after: int) -> float:
        """Bytes that the first units can have saved at most, by the point that comes next."""
        level = float(gap_levels(self.problem)[after])
        if after < len(self.problem.units):
            unit = self.problem.units[after]
            least = min(option.backward_bytes for option in unit.options)
            level = max(level, float(unit.backward_level_bytes + least))
        return self.budget - max(level, 0.0)

    def _points(
        self,
        block: Block,
        begin: int,
        counts: dict[int, int],
        used: dict[int, int],
        line: Line,
        need: dict[int, int],
    ) -> None:
        options = self.problem.units[block.first].options
        base = line.base + (line.over if self.above else 0.0)
        # Where an option is not used, either a unit with another one starts there or the run ends.
        end = base - line.slope * block.count + self._most_saved(block.first + block.count)
        highest = max(self.budget - min(need.values()), end)
        before: list[tuple[int, float]] = [(begin, self.scale)]
        for option in block.options:
            net = options[option].saved_bytes - line.slope
            members = [(counts[option], net)] if net > 0.0 else []
            start = need[option] - max(net, 0.0)
            # Whatever is taken, the left side without the flag is at most `highest + start`.
            spare = max(0.0, highest + start - self.budget)
            # [Constraint] Highest member of an option in use: line + prefix + need <= budget.
            self._at_most(
                [*before, *members, (used[option], spare)], self.budget - base - start + spare
            )
            before.append((counts[option], net))
