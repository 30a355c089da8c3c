"""Sweeps: a simulation of every combination of some values. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ConfigDict

from planner.errors import InvalidRequest
from planner.request import SimulationRequest
from planner.variation import Space, VariedRequest, checked, problems_of_space

MAX_POINTS = 256


class SweepRequest(VariedRequest):
    """The body of `POST /v1/sweeps`: a simulation, and what of it varies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": {
                        "source": "transformers",
                        "task": "text-generation",
                        "config": {"model_type": "gpt2", "n_layer": 2},
                    },
                    "workload": {"mode": "train", "batch_size": 1, "sequence_length": 64},
                    "vary": [
                        {"pointer": "/workload/batch_size", "values": [1, 2, 4]},
                        {"pointer": "/workload/sequence_length", "values": [64, 128]},
                    ],
                }
            ]
        }
    )


@dataclass(frozen=True)
class SweepPoint:
    """One combination: the request as checked, or why there is none."""

    request: SimulationRequest | None
    error: InvalidRequest | None = None


def sweep_points(
    request: SweepRequest, check: Callable[[SimulationRequest], SimulationRequest]
) -> list[SweepPoint]:
    """Every combination, the last axis the fastest.

    Combinations that cannot be, such as a batch that does not divide, are part of a sweep; that all
    of them are is a mistake.

    Raises:
        InvalidRequest: the axes are wrong, or no combination is right (then the first one's
            errors).
    """
    problems = [*problems_of_space(request, MAX_POINTS)]
    if problems:
        raise InvalidRequest(problems)
    space = Space.of(request)
    points = [_point(space, number, check) for number in range(space.size)]
    if all(point.request is None for point in points):
        error = points[0].error
        assert error is not None
        raise error
    return points


def _point(
    space: Space, number: int, check: Callable[[SimulationRequest], SimulationRequest]
) -> SweepPoint:
    try:
        return SweepPoint(checked(space, number, check))
    except InvalidRequest as error:
        return SweepPoint(None, error)
