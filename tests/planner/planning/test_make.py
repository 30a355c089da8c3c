"""Plans of requests."""

import pytest

from planner.check import check_plan
from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from planner.planning import make_plan
from planner.plans import PlanRequest
from planner.strategy import Strategy
from planner.trace import trace
from tests.planner.requests import TINY

CPU = BUILTIN["cpu"]
UNITS = ["checkpointing", "selective", "segments"]


def asked(memory="1GiB", *, points=0, allow=UNITS, batch_size=4, **fields):
    config = {"model_type": "gpt2", **TINY["gpt2"], "n_layer": 4, "vocab_size": 128}
    body = {
        "model": {"source": "transformers", "config": config},
        "workload": {"batch_size": batch_size, "sequence_length": 64},
        "budget": {"memory": memory},
        "frontier_points": points,
        "allow": allow,
        **fields,
    }
    return check_plan(PlanRequest.model_validate(body))


def plan_of(request, **options):
    return make_plan(request, CPU, helpers=0, **options)[0]


@pytest.fixture(scope="module")
def heard():
    return []


@pytest.fixture(scope="module")
def whole(heard):
    """A plan whose budget is no bound, with its frontier."""
    return plan_of(asked(points=8), progress=heard.append)


@pytest.fixture(scope="module")
def budgets(whole):
    plain, least = whole.frontier[0].peak_bytes, whole.frontier[-1].peak_bytes
    return [least + (plain - least) * part // 4 for part in range(4)]


@pytest.fixture(scope="module")
def plans(budgets):
    return [plan_of(asked(budget)) for budget in budgets]


def without_times(plan):
    dumped = plan.model_dump(mode="json")
    for field in ("solve_seconds", "simulate_seconds"):
        del dumped["solver"][field]
    return dumped


class TestFrontier:
    def test_nothing_is_changed_where_the_plain_step_fits(self, whole):
        assert whole.feasible
        assert whole.strategy.is_plain
        assert whole.prediction == whole.baseline
        assert whole.overhead.step_seconds_ratio == whole.overhead.recompute_flops_ratio == 1

    def test_it_begins_with_the_plain_step(self, whole):
        first = whole.frontier[0]
        assert first.strategy.is_plain
        assert first.peak_bytes == whole.baseline.peak_bytes

    def test_each_point_holds_less_and_takes_longer(self, whole):
        assert len(whole.frontier) >= 8
        peaks = [point.peak_bytes for point in whole.frontier]
        times = [point.overhead.step_seconds_ratio for point in whole.frontier]
        assert peaks == sorted(set(peaks), reverse=True)
        assert times == sorted(set(times))
        assert peaks[-1] < 0.7 * peaks[0]
        strategies = {point.strategy.model_dump_json() for point in whole.frontier}
        assert len(strategies) == len(whole.frontier)

    def test_progress_tells_phases_and_the_frontier_so_far(self, heard, whole):
        phases = [message["phase"] for message in heard]
        assert phases[:2] == ["baseline", "units"]
        assert "frontier" in phases
        sizes = [len(message["frontier"]) for message in heard]
        assert sizes[0] == 0
        assert sizes[-1] == len(whole.frontier)


class TestBudget:
    def test_certified_peaks_are_within_the_budget(self, plans, budgets):
        for plan, budget in zip(plans, budgets, strict=True):
            assert plan.feasible
            assert plan.budget_bytes == budget
            assert plan.prediction.peak_bytes <= budget
            assert not plan.strategy.is_plain
            assert plan.overhead.step_seconds_ratio > 1

    def test_a_larger_budget_never_costs_more_time(self, plans):
        times = [plan.overhead.step_seconds_ratio for plan in plans]
        assert times == sorted(times, reverse=True)

    def test_plans_are_no_dearer_than_the_frontier(self, plans, budgets, whole):
        for plan, budget in zip(plans, budgets, strict=True):
            fitting = [point for point in whole.frontier if point.peak_bytes <= budget]
            least = min(point.overhead.step_seconds_ratio for point in fitting)
            assert plan.overhead.step_seconds_ratio <= least * (1 + 1e-3)

    def test_the_strategy_simulated_again_has_the_same_peak(self, plans):
        plan = plans[1]
        again = trace(asked().simulation(plan.strategy), CPU)
        assert int(again.live_bytes.max()) == plan.prediction.peak_bytes

    def test_the_tape_is_that_of_the_plan(self, budgets):
        plan, tape = make_plan(asked(budgets[1]), CPU, helpers=0)
        assert int(tape.live_bytes.max()) == plan.prediction.peak_bytes

    def test_the_same_request_has_the_same_plan(self, plans, budgets):
        assert without_times(plan_of(asked(budgets[1]))) == without_times(plans[1])

    @pytest.mark.parametrize("solver", ["chain", "greedy"])
    def test_other_solvers_keep_the_budget_too(self, solver, plans, budgets):
        plan = plan_of(asked(budgets[2], solver=solver))
        assert plan.prediction.peak_bytes <= budgets[2]
        assert plan.solver.name == solver
        best = plans[2].overhead.step_seconds_ratio
        assert plan.overhead.step_seconds_ratio >= best * (1 - 1e-3)

    def test_levers_reach_lower(self, whole, budgets):
        allow = ["checkpointing", "chunked_loss", "optimizer_in_backward", "micro_batching"]
        low = budgets[0] - (budgets[3] - budgets[0]) // 6
        plan = plan_of(asked(low, allow=allow))
        assert plan.feasible
        assert plan.prediction.peak_bytes <= low
        levers = plan.strategy
        assert levers.loss_chunks > 1 or levers.optimizer.in_backward or levers.micro_batches > 1
        again = trace(asked().simulation(levers), CPU)
        assert int(again.live_bytes.max()) == plan.prediction.peak_bytes


class TestRefusals:
    def test_a_budget_below_the_parameters_makes_no_sense(self):
        with pytest.raises(InvalidRequest) as caught:
            plan_of(asked("100KiB"))
        assert [error.pointer for error in caught.value.errors] == ["/budget/memory"]

    def test_a_pattern_that_matches_nothing_is_named(self):
        with pytest.raises(InvalidRequest) as caught:
            plan_of(asked("8MiB", units=["transformer.blocks.*"]))
        (problem,) = caught.value.errors
        assert problem.pointer == "/units/0"
        assert "transformer.h.0" in problem.remedy

    def test_what_would_fit_is_said_where_nothing_does(self, whole):
        least = whole.frontier[-1].peak_bytes
        budget = least - 400_000
        plan = plan_of(asked(budget))
        assert not plan.feasible
        assert plan.strategy is plan.prediction is plan.overhead is None
        found = plan.infeasible
        assert budget < found.smallest_budget_bytes <= least
        assert found.phase in {phase.name for phase in plan.baseline.phases}
        assert 1 <= len(found.held_by) <= 5
        assert str(found.smallest_budget_bytes) in found.remedies[0]
        assert any("micro_batching" in remedy for remedy in found.remedies)
        again = trace(asked().simulation(found.smallest_strategy), CPU)
        assert int(again.live_bytes.max()) == found.smallest_budget_bytes


def test_only_the_units_that_are_named_are_chosen_for(whole):
    plan = plan_of(asked(whole.baseline.peak_bytes - 1, units=["transformer.h.[12]"]))
    paths = {choice.module for choice in plan.strategy.units}
    assert paths
    assert all(path.startswith(("transformer.h.1", "transformer.h.2")) for path in paths)


def test_nothing_allowed_leaves_the_plain_step():
    plan = plan_of(asked(points=4, allow=[]))
    assert plan.strategy == Strategy()
    assert len(plan.frontier) == 1
