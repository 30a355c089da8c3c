"""Runs of alike units as one block of counts, for the mixed-integer programme.

Within a run whose levels fall by the same `slope` from unit to unit, unit j of the run stands at
`base - slope * j + prefix`. So an option in effect adds `net = saved - slope`, and needs its bytes
beyond the point where it starts. Ordering jobs with a peak and a residue for the least peak is
Liu's problem (1987; with two machines, Johnson's): first those with net < 0 by increasing need,
then the others by decreasing need - net. Hence only the *number* of units that take each option is
left to choose, and of the members of an option only one point can be the highest: the last one
where net >= 0, the first one otherwise.

This is exact where the backward point is the higher one for each unit and option and where the
levels lie on a line. Elsewhere a block keeps two lines, not below and not above its levels.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.solve.problem import Problem
from planner.solve.reduce import Options


@dataclass(frozen=True, slots=True)
class Line:
    """Levels of a block's units in one phase: `base - slope * j`, at most `base + over`."""

    base: float
    slope: float
    over: float


@dataclass(frozen=True, slots=True)
class Block:
    """Units `first` to `first + count - 1`, which take the options in the order given.

    Attributes:
        forward_matters: some forward point may be higher than the unit's backward point.
    """

    first: int
    count: int
    options: tuple[int, ...]
    forward: Line
    backward: Line
    forward_matters: bool

    @property
    def exact(self) -> bool:
        """Whether nothing is lost by choosing counts in this order."""
        return self.count == 1 or not (self.forward_matters or self.backward.over)


def single_blocks(problem: Problem, options: Options) -> list[Block]:
    """Every unit on its own."""
    matters = _forward_matters(problem, options)
    return [_block(problem, options, matters, unit, 1) for unit in range(len(problem.units))]


def run_blocks(problem: Problem, options: Options, tolerance_bytes: float) -> list[Block]:
    """Runs of alike units whose levels are within the tolerance of a line; O(n^2)."""
    blocks: list[Block] = []
    ends = {gap.after for gap in problem.gaps}
    matters = _forward_matters(problem, options)
    first = 0
    while first < len(problem.units):
        block = _block(problem, options, matters, first, 1)
        end = first + 1
        while end < len(problem.units) and end not in ends and _alike(problem, first, end):
            longer = _block(problem, options, matters, first, end + 1 - first)
            over = max(longer.backward.over, longer.forward.over if longer.forward_matters else 0.0)
            if over > tolerance_bytes:
                break
            block, end = longer, end + 1
        blocks.append(block)
        first = end
    return blocks


def _alike(problem: Problem, one: int, other: int) -> bool:
    a, b = problem.units[one], problem.units[other]
    return a.kind == b.kind and a.options == b.options and a.shares is None and b.shares is None


def _forward_matters(problem: Problem, options: Options) -> list[bool]:
    """Of each unit, whether the forward point may be the higher one."""
    return [
        any(
            unit.forward_level_bytes + unit.options[number].forward_bytes
            > unit.backward_level_bytes + unit.options[number].backward_bytes
            for number in numbers
        )
        for unit, numbers in zip(problem.units, options, strict=True)
    ]


def _line(levels: list[int]) -> Line:
    """The line through the first and the last level, moved down until none is below it."""
    slope = (levels[0] - levels[-1]) / max(1, len(levels) - 1)
    offsets = [level + slope * number for number, level in enumerate(levels)]
    return Line(min(offsets), slope, max(offsets) - min(offsets))


def _block(
    problem: Problem, options: Options, matters: list[bool], first: int, count: int
) -> Block:
    units = problem.units[first : first + count]
    backward = _line([unit.backward_level_bytes for unit in units])

    def order(number: int) -> tuple[bool, float]:
        option = units[0].options[number]
        net = option.saved_bytes - backward.slope
        return net >= 0, net - option.backward_bytes if net >= 0 else option.backward_bytes

    return Block(
        first=first,
        count=count,
        options=tuple(sorted(options[first], key=order)),
        forward=_line([unit.forward_level_bytes for unit in units]),
        backward=backward,
        forward_matters=any(matters[first : first + count]),
    )
