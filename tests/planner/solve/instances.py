"""Small random problems and exhaustive search, the truth that solvers are held against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from planner.solve.problem import (
    Choice,
    Chosen,
    Gap,
    Option,
    Problem,
    Segment,
    Unit,
    peak_bytes,
    seconds,
)

Point = tuple[int, float]


@st.composite
def option_lists(draw):
    count = draw(st.integers(1, 4))
    options = []
    for number in range(count):
        saved = draw(st.integers(0, 20))
        options.append(
            Option(
                label=str(number),
                seconds=0.0 if number == 0 else float(draw(st.integers(0, 12))),
                saved_bytes=saved,
                forward_bytes=draw(st.integers(0, 25)),
                backward_bytes=saved + draw(st.integers(0, 15)),
            )
        )
    return tuple(options)


@st.composite
def problems(draw, most_units: int = 5):
    """Heterogeneous, alike or shared units, levels on a line or not, segments here and there."""
    count = draw(st.integers(1, most_units))
    pattern = draw(st.sampled_from(["heterogeneous", "alike", "mixed", "shared"]))
    level, slope = draw(st.integers(0, 10)), draw(st.integers(-3, 6))
    lists = [draw(option_lists()) for _ in range(count if pattern != "alike" else 1)]
    units = []
    for number in range(count):
        same = pattern in ("alike", "shared") or (pattern == "mixed" and draw(st.booleans()))
        kind = 0 if same else number
        on_line = draw(st.integers(0, 4)) > 0
        units.append(
            Unit(
                name=f"u{number}",
                kind=str(kind),
                options=lists[kind],
                forward_level_bytes=level if on_line else draw(st.integers(0, 20)),
                backward_level_bytes=max(0, level + slope * (count - number)),
                input_bytes=draw(st.integers(0, 6)),
                forward_seconds=float(draw(st.integers(1, 6))),
                transient_bytes=draw(st.integers(0, 12)),
                shares=0 if pattern == "shared" and draw(st.booleans()) else None,
            )
        )
    gaps = [Gap("embedding", 0, 5), Gap("loss", count, draw(st.integers(0, 20)))]
    if draw(st.booleans()):
        gaps.append(Gap("between", draw(st.integers(0, count)), draw(st.integers(0, 20))))
    together = tuple(draw(st.integers(0, 5)) > 0 for _ in range(count - 1))
    return Problem(tuple(units), tuple(gaps), together)


def exhaustive(problem: Problem, *, segments: bool = False) -> list[Point]:
    """Peak and seconds of every choice there is."""
    if not segments:
        problem = replace(problem, segmentable=())
    return [
        (peak_bytes(problem, choices), seconds(problem, choices))
        for choices in _sequences(problem, 0, len(problem.units), top=True)
        if _shared_agree(problem, choices)
    ]


def least_seconds(points: list[Point], budget_bytes: int) -> float | None:
    return min((cost for peak, cost in points if peak <= budget_bytes), default=None)


def _sequences(
    problem: Problem, first: int, end: int, *, top: bool
) -> Iterator[tuple[Choice, ...]]:
    if first == end:
        yield ()
        return
    for option in range(len(problem.units[first].options)):
        for rest in _sequences(problem, first + 1, end, top=top):
            yield (Chosen(first, option), *rest)
    for last in range(first + 1, end if top else end - 1):
        if last > len(problem.segmentable) or not problem.segmentable[last - 1]:
            return
        for inside, rest in itertools.product(
            _sequences(problem, first, last + 1, top=False),
            list(_sequences(problem, last + 1, end, top=top)),
        ):
            yield (Segment(first, last, inside), *rest)


def _shared_agree(problem: Problem, choices: tuple[Choice, ...]) -> bool:
    taken: dict[int, int] = {}
    for leaf in leaves(choices):
        shares = problem.units[leaf.unit].shares
        if shares is not None and taken.setdefault(shares, leaf.option) != leaf.option:
            return False
    return True


def leaves(choices: tuple[Choice, ...]) -> Iterator[Chosen]:
    for choice in choices:
        if isinstance(choice, Segment):
            yield from leaves(choice.inside)
        else:
            yield choice
