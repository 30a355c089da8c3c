"""Solving once what is the same problem."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from planner.planning.solving import Solving
from planner.solve import smallest_peak, solve
from planner.solve.problem import Gap, peak_bytes
from tests.planner.solve.instances import problems

FLOORS = st.integers(0, 60)


@given(problems(), FLOORS, st.integers(0, 120))
def test_a_floor_under_the_problem_changes_no_choice_that_is_possible(problem, floor, budget):
    floored = replace(problem, gaps=(*problem.gaps, Gap("optimizer_step", 0, floor)))
    solving = Solving("chain", segments=False)
    solving.within(problem, budget)
    found, alone = solving.within(floored, budget), solve(floored, budget, "chain", False)
    assert (found is None) == (alone is None)
    if found is not None and alone is not None:
        assert found.seconds == alone.seconds
        assert found.peak_bytes == peak_bytes(floored, found.choices) <= budget


@given(problems(), FLOORS)
def test_the_least_peak_is_not_below_its_floor(problem, floor):
    floored = replace(problem, gaps=(*problem.gaps, Gap("optimizer_step", 0, floor)))
    found = Solving("chain", segments=False).smallest(floored)
    assert found.peak_bytes == smallest_peak(floored, segments=False).peak_bytes
    assert found.peak_bytes == peak_bytes(floored, found.choices)


@given(problems(), st.integers(0, 120))
def test_nothing_costs_less_than_its_bound(problem, budget):
    solving = Solving("chain", segments=False)
    found = solving.within(problem, budget)
    assert found is None or found.seconds >= solving.bound(problem, budget) - 1e-9
