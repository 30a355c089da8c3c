"""What random search would find: the baseline of every design search."""

from __future__ import annotations

from math import comb

from planner.designs.answer import RandomSearch


def random_search(
    values: list[float | None], draws: int, sign: int, best: float | None, *, is_simulated: bool
) -> RandomSearch:
    """The expected best of so many different designs drawn with equal chances.

    Args:
        values: of all designs; None where one is infeasible.
        sign: 1 where less is better, -1 where more is.
        best: what was found otherwise, to compare with.
    """
    count = len(values)
    draws = min(draws, count)
    feasible = sorted((value for value in values if value is not None), key=lambda v: sign * v)
    ways = comb(count, draws)
    nothing = comb(count - len(feasible), draws) / ways
    expected = None
    if nothing < 1:
        # The best one drawn is the i-th: it is drawn, and the others are all worse.
        total = sum(
            comb(count - place - 1, draws - 1) / ways * value
            for place, value in enumerate(feasible)
        )
        expected = total / (1 - nothing)
    return RandomSearch(
        evaluations=draws,
        expected_value=expected,
        nothing_feasible=nothing,
        basis="simulated" if is_simulated else "surrogate",
        regret=_regret(expected, best, sign),
    )


def _regret(expected: float | None, best: float | None, sign: int) -> float | None:
    if expected is None or not best:
        return None
    return sign * (expected - best) / best
