"""Everything about a request that can be known wrong without building its model."""

from __future__ import annotations

from planner.errors import InvalidRequest
from planner.models.config import make_config
from planner.models.tasks import class_names
from planner.presets import resolve
from planner.request import SimulationRequest


def check(request: SimulationRequest) -> SimulationRequest:
    """Return the request with its preset resolved.

    Raises:
        InvalidRequest: names every problem found, each with its field and a remedy.
    """
    request = resolve(request)
    model = request.model
    make_config(model, request.workload)
    if model.config["model_type"] not in class_names(model.task):
        raise InvalidRequest.at("/model/task", "not supported by this model type")
    return request
