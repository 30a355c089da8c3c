"""What makes a design good, and what makes it infeasible."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.designs.answer import DesignMetrics
from planner.designs.capacity import capacity
from planner.designs.request import DesignSearchRequest
from planner.devices import DeviceProfile
from planner.prediction import Prediction
from planner.tape import Tape

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Limit:
    """A bound of one metric: at most, or with sign -1 at least."""

    metric: str
    limit: float
    sign: int = 1

    def is_kept(self, value: float | None) -> bool:
        """Whether the value keeps to the limit; what is not known does."""
        return value is None or self.sign * value <= self.sign * self.limit

    def violation(self, value: float | None) -> str | None:
        """What is wrong with the value, in words."""
        if value is None or self.is_kept(value):
            return None
        relation = "more" if self.sign > 0 else "less"
        return f"{self.metric} {value:.6g} is {relation} than {self.limit:.6g}"


@dataclass(frozen=True)
class Goals:
    """What a search wants: the best of one metric within limits of others.

    Attributes:
        sign: 1 where less of the objective is better, -1 where more is.
    """

    objective: str
    sign: int
    limits: tuple[Limit, ...]

    @classmethod
    def of(cls, request: DesignSearchRequest) -> Goals:
        """The goals of a request."""
        asked = request.constraints
        bounds = [
            Limit(name, getattr(asked, name))
            for name in ("peak_bytes", "step_seconds", "parameter_count")
            if getattr(asked, name) is not None
        ]
        if asked.score is not None:
            bounds.append(Limit("score", asked.score, -1))
        if asked.fits:
            bounds.append(Limit("memory_use", 1.0))
        sign = -1 if request.objective == "score" else 1
        return cls(request.objective, sign, tuple(bounds))

    def value(self, metrics: DesignMetrics) -> float | None:
        """The objective of a design."""
        value: float | None = getattr(metrics, self.objective)
        return value

    def violations(self, metrics: DesignMetrics) -> list[str]:
        """Why a design is infeasible, in words; empty where it is not."""
        found = [bound.violation(getattr(metrics, bound.metric)) for bound in self.limits]
        if self.value(metrics) is None:
            found.append(f"its {self.objective} is not known")
        return [words for words in found if words is not None]

    def is_better(self, first: float, second: float) -> bool:
        """Whether one value of the objective is better than another."""
        return self.sign * first < self.sign * second


def metrics_of(
    prediction: Prediction, tape: Tape, device: DeviceProfile, request: DesignSearchRequest
) -> DesignMetrics:
    """What a search looks at, of one simulated design.

    Args:
        tape: of the prediction; the score is of its parameters.
    """
    found = capacity(tape)
    price, seconds = request.prices.get(device.name), prediction.step_seconds
    return DesignMetrics(
        peak_bytes=prediction.peak_bytes,
        step_seconds=seconds,
        parameter_count=prediction.parameter_count,
        memory_use=memory_use(prediction, device),
        cost=None if price is None or seconds is None else price * seconds / _SECONDS_PER_HOUR,
        capacity=found,
        score=found.score(request.alpha),
    )


def memory_use(prediction: Prediction, device: DeviceProfile) -> float | None:
    """The largest share of a memory that is taken, over 1 where the device cannot serve a request
    though its bytes would suffice; None where no capacity is known.
    """
    shares = [
        tier.peak_bytes / tier.capacity_bytes
        for tier in prediction.tiers or []
        if tier.capacity_bytes
    ]
    if device.memory_bytes:
        held = prediction.device_bytes or prediction.reserved_bytes or prediction.peak_bytes
        share = held / device.memory_bytes
        # Fragmentation: the allocator fails before memory is full.
        shares.append(max(share, math.nextafter(1, 2)) if prediction.fits is False else share)
    return max(shares, default=None)
