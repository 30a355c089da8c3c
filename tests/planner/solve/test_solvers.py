"""Every solver against exhaustive search on small problems."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solve import SOLVERS, lower_bound, smallest_peak, solve
from planner.solve.chain import chain_bound, least_peak
from planner.solve.problem import Chosen, Gap, Option, Problem, Unit, peak_bytes, seconds
from tests.planner.solve.instances import exhaustive, least_seconds, problems

fast = settings(derandomize=True, max_examples=80, deadline=None)
EXACT = 1e-3  # the solvers' promised gap


@fast
@given(problems(), st.integers(0, 40))
def test_solvers_find_the_optimum(problem, more):
    points = exhaustive(problem)
    least = min(peak for peak, _ in points)
    assert least_peak(problem).peak_bytes == least
    for budget in (least - 1, least, least + more):
        best = least_seconds(points, budget)
        for name, solver in SOLVERS.items():
            found = solver(problem, budget)
            if best is None:
                assert found is None
                continue
            assert found is not None
            assert found.peak_bytes == peak_bytes(problem, found.choices) <= budget
            assert found.seconds == seconds(problem, found.choices) >= best - 1e-9
            if name != "greedy":
                assert found.seconds <= best * (1 + EXACT) + 1e-9
                assert found.gap is not None
                assert found.seconds - best <= found.gap * found.seconds + 1e-6


@fast
@given(problems(), st.integers(0, 40))
def test_the_bound_is_below_every_choice(problem, more):
    points = exhaustive(problem)
    budget = min(peak for peak, _ in points) + more
    assert chain_bound(problem, budget) <= least_seconds(points, budget) + 1e-9


@fast
@given(problems())
def test_more_bytes_never_cost_more_seconds(problem):
    least = smallest_peak(problem).peak_bytes
    before = float("inf")
    for budget in range(least, least + 40, 5):
        found = solve(problem, budget)
        assert found is not None
        assert found.seconds <= before * (1 + EXACT) + 1e-9
        before = found.seconds


@settings(derandomize=True, max_examples=20, deadline=None)
@given(problems())
def test_the_same_problem_has_the_same_answer(problem):
    budget = smallest_peak(problem).peak_bytes + 10
    for solver in SOLVERS.values():
        one, other = solver(problem, budget), solver(problem, budget)
        assert (one and one.choices) == (other and other.choices)


def transformer(count, *, alike=True):
    """Units whose levels fall by 3 MiB from each to the next, with three options."""
    mib = 1 << 20
    options = (
        Option("keep", 0.0, 40 * mib, 42 * mib, 47 * mib),
        Option("less", 0.001, 22 * mib, 40 * mib, 50 * mib),
        Option("checkpoint", 0.003, 4 * mib, 30 * mib, 49 * mib),
    )
    units = tuple(
        Unit(
            name=f"u{number}",
            kind="block" if alike else f"block{number}",
            options=options,
            forward_level_bytes=300 * mib,
            backward_level_bytes=(300 + 3 * (count - number)) * mib,
        )
        for number in range(count)
    )
    return Problem(units, (Gap("loss", count, 350 * mib),))


@pytest.mark.parametrize("share", [0.4, 0.55, 0.7, 0.9])
def test_counts_of_alike_units_lose_nothing(share):
    alike, apart = transformer(20), transformer(20, alike=False)
    budget = int(share * peak_bytes(alike, tuple(Chosen(u, 0) for u in range(20))))
    one, other = solve(alike, budget), solve(apart, budget)
    assert one is not None
    assert other is not None
    assert one.seconds == pytest.approx(other.seconds, rel=EXACT)
    assert SOLVERS["chain"](alike, budget).seconds == pytest.approx(one.seconds, rel=EXACT)


def test_levels_off_the_line_are_within_the_budget_and_proven():
    problem = transformer(16)
    units = tuple(
        replace(unit, backward_level_bytes=unit.backward_level_bytes + 1000 * (number % 3))
        for number, unit in enumerate(problem.units)
    )
    problem = replace(problem, units=units)
    budget = int(0.6 * peak_bytes(problem, tuple(Chosen(u, 0) for u in range(16))))
    found = SOLVERS["milp"](problem, budget)
    assert found is not None
    assert found.peak_bytes <= budget
    assert found.gap is not None
    assert found.gap <= EXACT


def test_a_step_without_units_has_one_solution():
    problem = Problem(units=(), gaps=(Gap("optimizer step", after=0, level_bytes=10),))
    assert smallest_peak(problem).peak_bytes == 10
    assert solve(problem, 9) is None
    assert solve(problem, 10).peak_bytes == 10
    assert lower_bound(problem, 9) == float("inf")
    assert lower_bound(problem, 10) == 0.0
