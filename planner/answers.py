"""Answers to requests shaped like the bodies of the HTTP calls, from this process."""

from __future__ import annotations

from typing import Any

from planner.accelerator.tiers import placed
from planner.check import check, check_plan
from planner.designs.answer import DesignSearchAnswer
from planner.designs.check import check_design_search
from planner.designs.find import find_design
from planner.designs.goals import metrics_of
from planner.designs.request import DesignSearchRequest
from planner.designs.search import Outcome
from planner.devices import builtin_device
from planner.planning import make_plan
from planner.plans import Plan, PlanRequest
from planner.predict import predict
from planner.prediction import Prediction
from planner.request import SimulationRequest
from planner.trace import trace


def simulate(request: dict[str, Any]) -> Prediction:
    """Predict the memory of a request shaped like the body of `POST /v1/simulations`.

    Traces in this process, so call it where patching library functions meanwhile does no harm.

    Raises:
        pydantic.ValidationError, planner.errors.HeadroomError: the request is wrong or cannot run.
    """
    checked = check(SimulationRequest.model_validate(request))
    device = placed(builtin_device(checked.device), checked.placement)
    return predict(trace(checked, device), device, checked.workload.mode)


def plan(request: dict[str, Any], *, helpers: int = 0) -> Plan:
    """The cheapest strategy for a request shaped like the body of `POST /v1/plans`.

    Args:
        helpers: processes to fork for simulating beside this one; 0 where threads are running.

    Raises:
        pydantic.ValidationError, planner.errors.HeadroomError: as `simulate`.
    """
    checked = check_plan(PlanRequest.model_validate(request))
    return make_plan(checked, builtin_device(checked.device), helpers=helpers)[0]


def search_designs(request: dict[str, Any]) -> DesignSearchAnswer:
    """Search a space of designs, for a request shaped like the body of `POST /v1/design-searches`.

    Raises:
        pydantic.ValidationError, planner.errors.HeadroomError: the request is wrong.
    """
    asked = check_design_search(DesignSearchRequest.model_validate(request))

    def evaluate(design: SimulationRequest) -> Outcome:
        checked = check(design)
        device = placed(builtin_device(checked.device), checked.placement)
        tape = trace(checked, device)
        found = predict(tape, device, checked.workload.mode)
        return Outcome(metrics_of(found, tape, device, asked))

    return find_design(asked, evaluate)
