"""Headroom's library: describe a model and a workload, simulate its memory. No HTTP here."""

from __future__ import annotations

from typing import Any


def simulate(request: dict[str, Any]) -> Any:
    """Predict the memory of a request shaped like the body of `POST /v1/simulations`.

    Traces in this process, so call it where patching library functions meanwhile does no harm.

    Returns:
        `planner.prediction.Prediction`.

    Raises:
        pydantic.ValidationError, planner.errors.HeadroomError: the request is wrong or cannot run.
    """
    from planner.check import check
    from planner.devices import BUILTIN
    from planner.request import SimulationRequest
    from planner.simulation import simulate as replay
    from planner.trace import trace

    checked = check(SimulationRequest.model_validate(request))
    return replay(trace(checked, BUILTIN[checked.device]))


__all__ = ["simulate"]
