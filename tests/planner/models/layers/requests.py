"""Checked requests for graphs of layers."""

from __future__ import annotations

from typing import Any

from planner.check import check
from planner.errors import FieldProblem, InvalidRequest
from planner.request import SimulationRequest
from tests.planner.models.layers.networks import Network


def request(
    model: Network, *, strategy: Any = None, device: str = "cpu", **workload: Any
) -> SimulationRequest:
    """A checked request; sequences have 48 tokens."""
    return check(
        SimulationRequest.model_validate(
            {
                "model": model,
                "workload": {"batch_size": 4, "sequence_length": 48, **workload},
                "device": device,
                "strategy": strategy or {},
            }
        )
    )


def problems(model: Network, **options: Any) -> list[FieldProblem]:
    """What the check finds wrong."""
    try:
        request(model, **options)
    except InvalidRequest as error:
        return error.errors
    return []
