"""The problem that every solver solves: one option for each unit of a chain, within a budget.

A model's units run in order in forward and in reverse order in backward. With `o[u]` the option
chosen for unit u, `saved` the bytes that an option holds between a unit's forward and its backward,
and a *level* the bytes alive whatever is chosen, live memory is at most the budget at every point:

    forward of u:   forward_level[u]  + sum of saved(o[v]) over v < u  + forward(o[u])   <= budget
    backward of u:  backward_level[u] + sum of saved(o[v]) over v < u  + backward(o[u])  <= budget
    gap g:          level[g]          + sum of saved(o[v]) over v < after[g]             <= budget

Gaps are the points outside any unit: embedding (after 0), head and loss (after n), optimizer step
(after 0). The objective is the sum of the options' added seconds.

A *segment* of consecutive units may be recomputed as one (Herrmann et al. 2019, arXiv 1911.13214,
"Rotor"): only the input of its first unit is saved. In backward its units run forward once more,
with the options chosen inside the segment, which may be segments again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class Option:
    """What one unit may do.

    Attributes:
        label: name of the option, unique within the unit.
        seconds: added time of a step compared with keeping everything.
        saved_bytes: held from the unit's forward to its backward, its input included where held.
        forward_bytes: most bytes held inside the unit's forward beyond those at its begin (when its
            input is alive already).
        backward_bytes: most bytes held inside the unit's backward, recomputation included, beyond
            those at its begin without `saved_bytes`: so never less than `saved_bytes`.
        flops: FLOPs recomputed; for reports, no part of the objective.
    """

    label: str
    seconds: float
    saved_bytes: int
    forward_bytes: int
    backward_bytes: int
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """One link of the chain.

    Attributes:
        options: the first is to keep everything.
        kind: units of one kind have equal options.
        input_bytes: of the tensor that the unit before hands over.
        forward_seconds: one forward without saving anything; what recomputing it once more costs.
        forward_flops: likewise, for reports.
        transient_bytes: most bytes inside a forward that saves nothing, beyond those at its begin.
        shares: units with the same number run the same module, so they take the same option;
            None for a unit of its own.
    """

    name: str
    kind: str
    options: tuple[Option, ...]
    forward_level_bytes: int
    backward_level_bytes: int
    input_bytes: int = 0
    forward_seconds: float = 0.0
    forward_flops: int = 0
    transient_bytes: int = 0
    shares: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A point outside the units, while the saved tensors of the first `after` units are alive."""

    name: str
    after: int
    level_bytes: int


@dataclass(frozen=True)
class Problem:
    """A chain of units and the points between them.

    `segmentable[u]`: whether units u and u + 1 may belong to one segment.
    """

    units: tuple[Unit, ...]
    gaps: tuple[Gap, ...]
    segmentable: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """Unit `unit` takes option number `option`."""

    unit: int
    option: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Units `first` to `last` are recomputed as one, with these choices inside."""

    first: int
    last: int
    inside: tuple[Choice, ...]


Choice = Chosen | Segment


@dataclass(frozen=True)
class Solution:
    """Choices in the order of the units, covering each once.

    Attributes:
        gap: proven bound on how far `seconds` may be from the optimum, relative; None where the
            solver proves nothing.
    """

    choices: tuple[Choice, ...]
    seconds: float
    peak_bytes: int
    solver: str
    solve_seconds: float
    gap: float | None = None


def peak_bytes(problem: Problem, choices: tuple[Choice, ...]) -> int:
    """The highest point under these choices."""
    return max((level for _, level in levels(problem, choices)), default=0)


def levels(problem: Problem, choices: tuple[Choice, ...]) -> Iterator[tuple[str, int]]:
    """Every point's name and its bytes under these choices: what the budget bounds."""
    prefix = [0]  # bytes saved by the units before each
    for choice in choices:
        yield from _forward(problem, choice, prefix[-1])
        yield from _backward(problem, choice, prefix[-1])
        first, last = _span(choice)
        inner = saved_bytes(problem, choice)
        prefix += [prefix[-1] + inner] * (last - first + 1)
    for gap in problem.gaps:
        yield gap.name, gap.level_bytes + prefix[gap.after]


def saved_bytes(problem: Problem, choice: Choice) -> int:
    """Bytes held between forward and backward of the choice's units."""
    if isinstance(choice, Segment):
        return problem.units[choice.first].input_bytes
    return problem.units[choice.unit].options[choice.option].saved_bytes


def seconds(problem: Problem, choices: tuple[Choice, ...]) -> float:
    """Added time of the choices."""
    return _added(
        problem, choices, lambda unit: unit.forward_seconds, lambda option: option.seconds
    )


def flops(problem: Problem, choices: tuple[Choice, ...]) -> int:
    """FLOPs computed again under the choices."""
    return int(_added(problem, choices, attrgetter("forward_flops"), attrgetter("flops")))


def _added(
    problem: Problem,
    choices: tuple[Choice, ...],
    of_forward: Callable[[Unit], float],
    of_option: Callable[[Option], float],
) -> float:
    total: float = 0  # whole numbers stay exact
    for choice in choices:
        if isinstance(choice, Segment):
            span = problem.units[choice.first : choice.last + 1]
            again = sum(of_forward(unit) for unit in span)
            total += again + _added(problem, choice.inside, of_forward, of_option)
        else:
            total += of_option(problem.units[choice.unit].options[choice.option])
    return total


def _span(choice: Choice) -> tuple[int, int]:
    if isinstance(choice, Segment):
        return choice.first, choice.last
    return choice.unit, choice.unit


def _forward(problem: Problem, choice: Choice, before: int) -> Iterator[tuple[str, int]]:
    if isinstance(choice, Segment):
        held = before + problem.units[choice.first].input_bytes
        for index in range(choice.first, choice.last + 1):
            unit = problem.units[index]
            # The input of the first unit is in `forward_level_bytes` and in `held`.
            again = unit.input_bytes if index == choice.first else 0
            level = unit.forward_level_bytes + held - again + unit.transient_bytes
            yield f"{unit.name}.forward", level
    else:
        unit = problem.units[choice.unit]
        option = unit.options[choice.option]
        yield f"{unit.name}.forward", unit.forward_level_bytes + before + option.forward_bytes


def _backward(problem: Problem, choice: Choice, before: int) -> Iterator[tuple[str, int]]:
    if isinstance(choice, Chosen):
        unit = problem.units[choice.unit]
        option = unit.options[choice.option]
        yield f"{unit.name}.backward", unit.backward_level_bytes + before + option.backward_bytes
        return
    first_input = problem.units[choice.first].input_bytes
    level = problem.units[choice.last].backward_level_bytes
    yield from _recomputed(problem, choice, before + first_input, level)
    held = before
    for number, inner in enumerate(choice.inside):
        yield from _backward(problem, inner, held)
        # The input of the segment is held by the segment or by its first choice, never twice.
        held += max(saved_bytes(problem, inner), first_input if number == 0 else 0)


def _recomputed(
    problem: Problem, segment: Segment, held: int, level: int
) -> Iterator[tuple[str, int]]:
    """Forward of a segment's units once more, at the begin of the segment's backward."""
    first_input = problem.units[segment.first].input_bytes
    for number, inner in enumerate(segment.inside):
        first, last = _span(inner)
        # `held` has the input of the first choice, which is the segment's, and of no other.
        kept = held if number == 0 else held + problem.units[first].input_bytes
        for index in range(first, last + 1):
            unit = problem.units[index]
            if isinstance(inner, Chosen):
                inside = unit.options[inner.option].forward_bytes
            else:
                inside = unit.transient_bytes + (unit.input_bytes if index > first else 0)
            yield f"{unit.name}.recompute", level + kept + inside
        saved = saved_bytes(problem, inner)
        held += max(saved - first_input, 0) if number == 0 else saved
