"""Segments against exhaustive search, and never worse than units alone."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solve import smallest_peak, solve, solve_segments
from planner.solve.problem import Problem, Segment, peak_bytes, seconds
from planner.solve.segments import least_peak_segments
from tests.planner.solve.instances import exhaustive, least_seconds, leaves, problems
from tests.planner.solve.test_solvers import transformer

fast = settings(derandomize=True, max_examples=60, deadline=None)


@fast
@given(problems(most_units=4), st.integers(0, 40))
def test_the_optimum_among_all_nested_segments(problem, more):
    points = exhaustive(problem, segments=True)
    least = min(peak for peak, _ in points)
    assert least_peak_segments(problem).peak_bytes == least
    assert solve_segments(problem, least - 1) is None
    for budget in (least, least + more):
        found = solve_segments(problem, budget)
        assert found is not None
        assert found.peak_bytes == peak_bytes(problem, found.choices) <= budget
        assert found.seconds == seconds(problem, found.choices)
        assert abs(found.seconds - least_seconds(points, budget)) < 1e-9
        assert [leaf.unit for leaf in leaves(found.choices)] == list(range(len(problem.units)))


@fast
@given(problems(), st.integers(0, 40))
def test_segments_are_never_worse(problem, more):
    budget = smallest_peak(problem, segments=False).peak_bytes + more
    assert smallest_peak(problem).peak_bytes <= smallest_peak(problem, segments=False).peak_bytes
    with_segments, without = solve(problem, budget), solve(problem, budget, segments=False)
    assert with_segments is not None
    assert without is not None
    assert with_segments.seconds <= without.seconds


@fast
@given(problems(most_units=4))
def test_smallest_peak_is_the_least_of_all(problem):
    for segments in (False, True):
        points = exhaustive(problem, segments=segments)
        least = min(peak for peak, _ in points)
        found = smallest_peak(problem, segments)
        assert found.peak_bytes == least
        assert found.seconds <= least_seconds(points, least) * 1.001 + 1e-9


def test_units_that_may_not_be_together_are_not():
    problem = transformer(8)
    units = tuple(
        replace(unit, input_bytes=4 << 20, forward_seconds=0.003, transient_bytes=20 << 20)
        for unit in problem.units
    )
    together: Problem = replace(
        problem, units=units, segmentable=(True, True, True, False, True, True, True)
    )
    found = smallest_peak(together)
    segments = [choice for choice in found.choices if isinstance(choice, Segment)]
    assert found.peak_bytes < smallest_peak(together, segments=False).peak_bytes
    assert segments
    assert all(choice.last <= 3 or choice.first >= 4 for choice in segments)
