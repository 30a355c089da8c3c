"""Plans of graphs of layers: their groups are the units, and what is certified is measured."""

import json
from pathlib import Path

import pytest

from planner.check import check, check_plan
from planner.devices import BUILTIN
from planner.planning import make_plan
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from profiler.run import measure_request

EXAMPLE = Path(__file__).parents[3] / "examples" / "unet-layers.json"


def test_a_u_net_is_planned_by_its_blocks():
    body = json.loads(EXAMPLE.read_text())
    body["model"]["inputs"]["images"]["shape"] = [3, 96, 96]
    wanted = {"budget": {"memory": "145MB"}, "allow": ["checkpointing"], "frontier_points": 0}
    request = check_plan(PlanRequest.model_validate(body | wanted))
    plan, _ = make_plan(request, BUILTIN["cpu"], helpers=0)
    assert plan.feasible
    assert plan.baseline.peak_bytes > 145_000_000 >= plan.prediction.peak_bytes
    blocks = {"middle", *(f"{way}.{level}" for way in ("down", "up") for level in range(4))}
    chosen = {unit.module for unit in plan.strategy.units}
    assert chosen
    assert chosen <= blocks
    planned = body | {"strategy": plan.strategy.model_dump(mode="json")}
    asked = check(SimulationRequest.model_validate(planned))
    measured = measure_request(asked, timing_budget_seconds=0.0).measured
    assert plan.prediction.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.001)
