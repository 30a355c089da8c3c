"""Variables and constraints of a mixed-integer programme under construction, and its solution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

Terms = list[tuple[int, float]]


class Rows:
    """Constraints `low <= sum of value * column <= high`."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, float]] = []
        self.low: list[float] = []
        self.high: list[float] = []

    def add(self, terms: Terms, *, low: float = -np.inf, high: float = np.inf) -> None:
        """One row."""
        self.entries += [(len(self.low), column, value) for column, value in terms if value]
        self.low.append(low)
        self.high.append(high)

    def constraint(self, columns: int) -> LinearConstraint:
        """The rows as scipy takes them."""
        rows, cols, values = zip(*self.entries, strict=True)
        matrix = coo_array((values, (rows, cols)), shape=(len(self.low), columns)).tocsr()
        return LinearConstraint(matrix, self.low, self.high)


class Variables:
    """Columns with bounds and cost."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.integer: list[int] = []

    def add(
        self, upper: float = np.inf, *, cost: float = 0.0, lower: float = 0.0, integer: bool = True
    ) -> int:
        """The number of a new column."""
        self.cost.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        self.integer.append(int(integer))
        return len(self.cost) - 1

    def solve(
        self, rows: Rows, seconds_limit: float, gap: float
    ) -> tuple[NDArray[np.float64] | None, float]:
        """Values for the least cost, None where there are none, and a lower bound on the cost.

        HiGHS stops at the relative gap. It has one thread and a fixed seed: the same programme has
        the same answer unless the time limit ends the search. The bound of an infeasible programme
        is infinite.
        """
        cost = np.array(self.cost)
        unit = max(float(cost.max()), 1e-30) / 1e3  # the tolerances of HiGHS are absolute
        result = milp(
            cost / unit,
            integrality=self.integer,
            bounds=Bounds(self.lower, self.upper),
            constraints=rows.constraint(len(cost)),
            options={"time_limit": max(0.01, seconds_limit), "mip_rel_gap": gap},
        )
        bound = result.get("mip_dual_bound")
        low = -np.inf if bound is None else float(bound) * unit
        return result.x, np.inf if result.status == 2 else low
