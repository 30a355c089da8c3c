import itertools
import statistics
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.designs.chance import random_search
from planner.designs.find import find_design
from planner.designs.goals import memory_use
from planner.designs.search import DesignSearch, Outcome
from planner.designs.surrogate import fit
from planner.devices import BUILTIN
from planner.errors import HeadroomError
from planner.prediction import Categories, TierUse
from planner.request import SimulationRequest
from planner.simulation import simulate
from tests.planner.designs.spaces import arithmetic, asked
from tests.planner.tapes import tape_of

LIMIT = {"peak_bytes": 8_000_000}


def exhaustive(request):
    """The objective of every feasible design."""
    search = DesignSearch(request)
    values = []
    for design in range(search.space.size):
        try:
            metrics = simulated(search, design).metrics
        except HeadroomError:
            continue
        if not search.goals.violations(metrics):
            values.append(search.goals.value(metrics))
    return sorted(values, key=lambda value: search.goals.sign * value)


def simulated(search, design):
    return arithmetic(SimulationRequest.model_validate(search.space.body(design)))


class TestSearch:
    @pytest.mark.parametrize(
        ("objective", "constraints"),
        [
            ("score", LIMIT),
            ("peak_bytes", {"score": 700}),
            ("step_seconds", {"score": 700, "peak_bytes": 8_000_000}),
        ],
    )
    def test_it_finds_the_best_of_sixty_in_twenty_or_one_nearly_as_good(
        self, objective, constraints
    ):
        for seed in range(3):
            request = asked(objective=objective, constraints=constraints, seed=seed)
            answer = find_design(request, arithmetic)
            best = exhaustive(request)[0]
            assert answer.evaluations <= 20
            assert answer.best is not None
            found = getattr(answer.best.metrics, objective)
            assert abs(found - best) / best <= 0.05, (seed, found, best)

    def test_it_beats_random_search(self):
        regrets = []
        for seed in range(5):
            request = asked(objective="score", constraints=LIMIT, evaluations=10, seed=seed)
            feasible = exhaustive(request)
            infeasible = 60 - len(feasible)
            answer = find_design(request, arithmetic)
            chance = random_search(
                [*feasible, *[None] * infeasible], 10, -1, answer.best.metrics.score,
                is_simulated=True,
            )  # fmt: skip
            regrets.append(chance.regret)
        assert statistics.mean(regrets) > 0.02

    def test_infeasible_designs_teach_where_the_limit_is(self):
        search = DesignSearch(asked(objective="score", constraints=LIMIT))
        told = {}
        for design in range(60):
            with suppress(HeadroomError):
                found = simulated(search, design)
                if search.goals.violations(found.metrics) and len(told) < 8:
                    search.know(design, found)
                    told[design] = found.metrics.peak_bytes
        assert len(told) == 8
        assert search.best() is None
        proposal = search.ask()
        assert proposal.source == "proposed"
        found = simulated(search, proposal.design)
        assert found.metrics.peak_bytes < min(told.values())
        assert search.goals.violations(found.metrics) == []

    def test_designs_that_fail_are_avoided_and_refused_ones_cost_nothing(self):
        request = asked(objective="score", constraints={}, evaluations=25)
        answer = find_design(request, arithmetic)
        failed = [d for d in answer.designs if "fails" in " ".join(d.violations)]
        assert answer.evaluations == 25
        assert len(answer.designs) == 25 + answer.refused
        assert 1 <= len(failed) <= 4
        assert answer.best.metrics.score >= 0.9 * exhaustive(request)[0]

    def test_what_the_store_has_costs_nothing(self):
        request = asked(objective="score", constraints=LIMIT, evaluations=4)
        search = DesignSearch(request)
        for design in range(0, 60, 3):
            try:
                outcome = simulated(search, design)
            except HeadroomError as error:
                outcome = Outcome(problem=error.detail, refused=True)
            search.know(design, outcome)
        first = search.ask()
        assert first.source == "proposed", "enough was seen to learn from"
        assert search.evaluations == 0
        answer = search.answer()
        assert answer.stored + answer.refused == 20
        assert answer.stored > answer.refused > 0

    def test_a_whole_space_is_compared_with_chance_exactly(self):
        request = asked(objective="peak_bytes", constraints={}, evaluations=60)
        answer = find_design(request, arithmetic)
        assert answer.random_search.basis == "simulated"
        assert answer.untried == []
        assert answer.best.metrics.peak_bytes == exhaustive(request)[0]

    def test_nothing_feasible_is_an_answer(self):
        answer = find_design(asked(constraints={"peak_bytes": 1}, evaluations=8), arithmetic)
        assert answer.best is None
        assert answer.random_search.nothing_feasible == 1
        assert answer.random_search.expected_value is None
        assert all(design.violations for design in answer.designs)

    def test_the_same_request_has_the_same_answer(self):
        request = asked(objective="score", constraints=LIMIT, evaluations=8)
        assert find_design(request, arithmetic) == find_design(request, arithmetic)

    def test_every_proposal_says_what_was_expected(self):
        answer = find_design(asked(objective="score", constraints=LIMIT), arithmetic)
        proposed = [design for design in answer.designs if design.source == "proposed"]
        assert proposed
        for design in proposed:
            assert design.expected.pessimistic <= design.expected.value
        late = [d for d in proposed[3:] if d.metrics is not None]
        errors = [abs(d.expected.value / d.metrics.score - 1) for d in late]
        assert statistics.median(errors) < 0.05


class TestSurrogate:
    def test_it_passes_through_what_it_saw_and_is_unsure_elsewhere(self):
        features = np.linspace(0, 1, 11)[:, None]
        seen = [0, 3, 6]
        values = [float(np.sin(3 * features[i, 0])) for i in seen]
        found = fit(features, seen, values)
        assert found.mean[seen] == pytest.approx(values, abs=1e-3)
        assert found.deviation[seen] == pytest.approx(0, abs=0.01)
        assert found.deviation[10] > found.deviation[4] > found.deviation[3]
        assert (found.bound(1, 1.0) >= found.mean).all()

    @pytest.mark.parametrize("values", [[2.0], [3.0, 3.0]])
    def test_one_value_is_all_that_it_knows(self, values):
        found = fit(np.linspace(0, 1, 5)[:, None], [*range(len(values))], values)
        assert found.mean == pytest.approx(values[0])
        assert found.deviation[-1] > 0


@given(
    st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=7),
    st.integers(1, 7),
    st.sampled_from([1, -1]),
)
def test_chance_is_that_of_all_draws(values, draws, sign):
    draws = min(draws, len(values))
    bests = []
    for drawn in itertools.combinations(values, draws):
        feasible = [value for value in drawn if value is not None]
        bests.append(min(feasible, key=lambda value: sign * value) if feasible else None)
    found = random_search(values, draws, sign, None, is_simulated=True)
    some = [best for best in bests if best is not None]
    assert found.nothing_feasible == pytest.approx(1 - len(some) / len(bests))
    if some:
        assert found.expected_value == pytest.approx(statistics.mean(some))
    else:
        assert found.expected_value is None


class TestMemoryUse:
    CARD = BUILTIN["t4"]

    def prediction(self, **fields):
        return simulate(tape_of([0], [1000])).model_copy(update=fields)

    def test_it_is_what_the_driver_shows_of_the_cards_memory(self):
        half = self.CARD.memory_bytes // 2
        assert memory_use(self.prediction(device_bytes=half), self.CARD) == pytest.approx(0.5)
        assert memory_use(self.prediction(), BUILTIN["cpu"]) is None

    def test_fragmentation_is_more_than_all_of_it(self):
        found = memory_use(self.prediction(device_bytes=1, fits=False), self.CARD)
        assert found > 1
        assert found == pytest.approx(1)

    def test_the_fullest_tier_counts(self):
        tiers = [
            TierUse(
                name=f"tier{number}", capacity_bytes=capacity, peak_bytes=peak,
                peak_phase="step0.forward", fits=None, at_peak=Categories(), mask_bytes=0,
                read_bytes=0, written_bytes=0, seconds=None, joules=None,
            )
            for number, (peak, capacity) in enumerate([(80, 100), (30, 100), (10**9, None)])
        ]  # fmt: skip
        assert memory_use(self.prediction(tiers=tiers), BUILTIN["cpu"]) == 0.8
