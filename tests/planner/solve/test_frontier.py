"""Frontiers: distinct, monotone, from the least peak to everything kept."""

import itertools

from hypothesis import given, settings

from planner.solve import everything_kept, frontier, smallest_peak
from tests.planner.solve.instances import problems
from tests.planner.solve.test_solvers import transformer


def assert_monotone(found):
    for lower, higher in itertools.pairwise(found):
        assert lower.peak_bytes < higher.peak_bytes
        assert lower.seconds > higher.seconds


@settings(derandomize=True, max_examples=30, deadline=None)
@given(problems())
def test_a_frontier_is_monotone_from_end_to_end(problem):
    found = frontier(problem, 6)
    assert_monotone(found)
    assert found[0].peak_bytes == smallest_peak(problem).peak_bytes
    assert found[-1].seconds == 0.0
    assert found[-1].peak_bytes <= everything_kept(problem).peak_bytes


def test_a_frontier_has_the_points_asked_for():
    problem = transformer(12)
    found = frontier(problem, 10)
    assert len(found) >= 10
    assert_monotone(found)


def test_a_frontier_between_two_budgets():
    problem = transformer(12)
    low, high = int(500e6), int(700e6)
    found = frontier(problem, 5, low, high)
    assert found
    assert_monotone(found)
    assert all(each.peak_bytes <= high for each in found)
    assert found[0].peak_bytes <= low
