"""Plans of models that learn from teachers."""

import pytest

from planner.check import check_plan
from planner.devices import BUILTIN
from planner.planning import make_plan
from planner.plans import PlanRequest
from tests.planner.distillation.requests import BERT, asked


@pytest.mark.parametrize("distillation", [{"teacher": BERT}, {"logits": "stored"}])
def test_the_units_are_the_models_own(distillation):
    body = asked(BERT, distillation, batch_size=4)
    request = check_plan(PlanRequest.model_validate({**body, "frontier_points": 3}))
    plan, _ = make_plan(request, BUILTIN["cpu"], helpers=0)
    assert plan.feasible
    smallest = plan.frontier[-1]
    assert smallest.peak_bytes < plan.baseline.peak_bytes
    units = [choice.module for choice in smallest.strategy.units]
    assert units
    assert not any(path.startswith("teacher") for path in units)
