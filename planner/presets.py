"""Named descriptions that ship with Headroom."""

from __future__ import annotations

from planner.request import SimulationRequest


def resolve(request: SimulationRequest) -> SimulationRequest:
    """The request with a preset replaced by what it stands for."""
    return request
