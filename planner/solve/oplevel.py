"""Exact rematerialisation of single operations in a small graph, for reference optima.

Jain et al. (2020), "Checkmate: breaking the memory wall with optimal tensor rematerialization",
arXiv 1910.02653, equations (1)-(9). Stage t ends with the first evaluation of node t:

    R[t, i]        node i is evaluated in stage t, in the fixed order
    S[t, i]        the value of node i is in memory when stage t begins
    FREE[t, i, k]  the value of node i is freed once node k was evaluated in stage t
    U[t, k]        bytes in memory while node k is evaluated in stage t

The order of the nodes and the stages ending with new nodes are the paper's restrictions; within
them the result is optimal up to `gap`. O(n (n + edges)) variables: seconds up to 25 nodes, at low
budgets minutes from 40.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.solve.rows import Rows, Variables

GAP = 1e-4
"""Relative gap at which HiGHS stops."""

Matrix = tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Schedule:
    """What is evaluated (R) and what is in memory at the begin (S) of each stage.

    Attributes:
        seconds: of all evaluations, the first of each node included.
        gap: proven bound on how far `seconds` may be from the optimum, relative.
    """

    evaluated: Matrix
    kept: Matrix
    seconds: float
    peak_bytes: int
    gap: float
    solve_seconds: float


def solve_graph(
    graph: nx.DiGraph,
    order: Sequence[Hashable],
    budget_bytes: int,
    seconds_limit: float = 60.0,
) -> Schedule | None:
    """The fewest seconds within the budget; None where there are none or none in time.

    Nodes have `bytes`, of their output, and `seconds`; edges lead from a value to its users. What
    is alive whatever is done (parameters, inputs) is to be taken off the budget.
    """
    started = time.perf_counter()
    deadline = started + seconds_limit
    chain = _Chain(graph, order)
    allowed, bound = budget_bytes, 0.0
    for _ in range(4):
        program = _Program(chain, allowed)
        values, low = program.variables.solve(program.rows, deadline - time.perf_counter(), GAP)
        bound = low if allowed == budget_bytes else bound
        if values is None:
            return None
        evaluated, kept = program.matrices(values)
        peak = peak_bytes(graph, order, evaluated, kept)
        if peak <= budget_bytes:
            seconds = float((np.array(evaluated) @ chain.seconds).sum())
            gap = max(0.0, seconds - bound) / seconds if seconds > 0.0 else 0.0
            spent = time.perf_counter() - started
            return Schedule(evaluated, kept, seconds, peak, gap, spent)
        # A tolerance of HiGHS broke the budget.
        allowed -= peak - budget_bytes
    return None


def peak_bytes(
    graph: nx.DiGraph, order: Sequence[Hashable], evaluated: Matrix, kept: Matrix
) -> int:
    """The peak of a schedule by playing it; AssertionError where a value is missing."""
    chain = _Chain(graph, order)
    alive: set[int] = set()
    peak = 0
    for stage in range(chain.count):
        later = kept[stage + 1] if stage + 1 < chain.count else (False,) * chain.count
        alive &= {node for node in range(chain.count) if kept[stage][node]}
        assert all(node in alive for node in range(chain.count) if kept[stage][node])
        runs = [node for node in range(stage + 1) if evaluated[stage][node]]
        for node in runs:
            assert alive.issuperset(chain.parents[node])
            alive.add(node)
            peak = max(peak, sum(chain.bytes[each] for each in alive))
            for value in (*chain.parents[node], node):
                if not later[value] and not any(u in runs for u in chain.users[value] if u > node):
                    alive.discard(value)
    return peak


class _Chain:
    """The graph with its nodes numbered in order."""

    def __init__(self, graph: nx.DiGraph, order: Sequence[Hashable]) -> None:
        number = {node: index for index, node in enumerate(order)}
        self.count = len(order)
        self.bytes = [int(graph.nodes[node]["bytes"]) for node in order]
        self.seconds = np.array([float(graph.nodes[node]["seconds"]) for node in order])
        self.parents = [sorted(number[p] for p in graph.predecessors(node)) for node in order]
        self.users = [sorted(number[u] for u in graph.successors(node)) for node in order]
        if any(parent >= node for node, ps in enumerate(self.parents) for parent in ps):
            raise ValueError("the order is not a topological order of the graph")


class _Program:
    """The mixed-integer programme of one budget."""

    def __init__(self, chain: _Chain, budget_bytes: int) -> None:
        self.chain = chain
        self.scale = max(1.0, float(budget_bytes)) / 1e3  # the tolerances of HiGHS are absolute
        self.budget = budget_bytes / self.scale
        self.variables, self.rows = Variables(), Rows()
        stages = range(chain.count)
        add = self.variables.add
        # [Constraint] Stage t evaluates node t, and none after it: (1d), (1e).
        self.evaluated = [
            [add(1, cost=chain.seconds[i], lower=int(i == t)) for i in range(t + 1)] for t in stages
        ]
        self.kept = [[add(1) for _ in range(t)] for t in stages]
        for stage in stages:
            self._dependencies(stage)
            self._memory(stage)

    def matrices(self, values: NDArray[np.float64]) -> tuple[Matrix, Matrix]:
        """R and S of the solver's values."""

        def matrix(columns: list[list[int]]) -> Matrix:
            count = self.chain.count
            return tuple(
                tuple(bool(i < len(row) and values[row[i]] > 0.5) for i in range(count))
                for row in columns
            )

        return matrix(self.evaluated), matrix(self.kept)

    def _dependencies(self, stage: int) -> None:
        now, kept = self.evaluated[stage], self.kept[stage]
        for node in range(stage + 1):
            for parent in self.chain.parents[node]:
                # [Constraint] What a node needs is kept or evaluated in the stage: (1b).
                self.rows.add(
                    [(now[node], 1.0), (now[parent], -1.0), (kept[parent], -1.0)], high=0.0
                )
        for node in range(stage):
            # [Constraint] What is kept was kept or evaluated in the stage before: (1c).
            before = [(self.evaluated[stage - 1][node], -1.0)]
            before += [(self.kept[stage - 1][node], -1.0)] if node < stage - 1 else []
            self.rows.add([(kept[node], 1.0), *before], high=0.0)

    def _memory(self, stage: int) -> None:
        chain, now = self.chain, self.evaluated[stage]
        size = [value / self.scale for value in chain.bytes]
        later = self.kept[stage + 1] if stage + 1 < chain.count else []
        used = [self.variables.add(self.budget, integer=False) for _ in range(stage + 1)]
        # What is alive before the first node: (2).
        before = [(column, size[node]) for node, column in enumerate(self.kept[stage])]
        for node in range(stage + 1):
            # [Constraint] Bytes while the node runs, at most the budget: (2), (3).
            self.rows.add([*before, (now[node], size[node]), (used[node], -1.0)], low=0.0, high=0.0)
            before = [(used[node], 1.0)]
            for value in (*chain.parents[node], node):
                after = [now[user] for user in chain.users[value] if node < user <= stage]
                hazards = [(now[node], -1.0)] + [(column, 1.0) for column in after]
                hazards += [(later[value], 1.0)] if later else []
                # [Constraint] Freed only if evaluated, not kept and not used later: (5)-(9). That
                # it is freed then need not be said, for the memory can only gain by it.
                freed = self.variables.add(1)
                most = float(len(hazards))
                self.rows.add([*hazards, (freed, most)], high=most - 1.0)
                before.append((freed, -size[value]))
