"""From a found plan to the request that carries it out. Workers import it: no HTTP here."""

from __future__ import annotations

from planner.plans import Plan, PlanRequest
from planner.request import SimulationRequest


def planned_simulation(request: PlanRequest, plan: Plan) -> SimulationRequest:
    """The workload that a feasible plan was certified for, with its strategy.

    What the plan solved for is put in the place of what was asked.
    """
    assert plan.strategy is not None, "only a feasible plan has a strategy"
    body = request.simulation(plan.strategy).model_dump(mode="json")
    if (solved := plan.solved) is not None:
        section = body if solved.field == "device" else body["workload"]
        section[solved.field] = solved.value
    return SimulationRequest.model_validate(body)
