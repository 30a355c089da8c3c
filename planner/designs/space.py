"""The designs of a space by number, and what of each a surrogate learns from."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.designs.request import Axis, DesignSearchRequest
from planner.request import SimulationRequest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DesignSpace:
    """Every combination of the values of the axes, in a base request.

    The number of a design has the choice on each axis as a digit, the last axis the fastest.
    """

    base: dict[str, Any]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, request: DesignSearchRequest) -> DesignSpace:
        """The space of a checked request."""
        base = request.model_dump(mode="json", include=set(SimulationRequest.model_fields))
        return cls(base, tuple(request.vary))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of designs."""
        return math.prod(self.shape)

    def digits(self, design: int) -> tuple[int, ...]:
        """Which value of each axis the design has."""
        return tuple(int(digit) for digit in np.unravel_index(design, self.shape))

    def choices(self, design: int) -> dict[str, Any]:
        """The design's values by the pointers of their axes."""
        digits = self.digits(design)
        return {axis.pointer: axis.values[d] for axis, d in zip(self.axes, digits, strict=True)}

    def body(self, design: int) -> dict[str, Any]:
        """The design as the body of a simulation, not validated."""
        body = copy.deepcopy(self.base)
        for axis, digit in zip(self.axes, self.digits(design), strict=True):
            for pointer in (axis.pointer, *axis.also):
                put(body, pointer, copy.deepcopy(axis.values[digit]))
        return body

    def features(self) -> Floats:
        """What designs are told apart by, shape (designs, features).

        An axis of positive numbers is one feature, the logarithm scaled to [0, 1], since bytes and
        seconds are sums of products of sizes. Any other has one for each value, such that two
        different values are as far apart as the ends of a number's axis.
        """
        digits = np.stack(np.unravel_index(np.arange(self.size), self.shape), axis=1)
        columns = [_coordinates(axis.values)[digits[:, i]] for i, axis in enumerate(self.axes)]
        return np.concatenate(columns, axis=1)

    def extrapolates(self, design: int, seen: Sequence[int]) -> bool:
        """Whether the design lies outside of what the seen ones span.

        So it does where one of its numbers is less or more than those of all of them, or another
        value was in none.
        """
        own = self.digits(design)
        others = [self.digits(each) for each in seen]
        for axis, digit, known in zip(self.axes, own, zip(*others, strict=True), strict=False):
            if is_numeric(axis.values):
                span = [axis.values[each] for each in known]
                if not min(span) <= axis.values[digit] <= max(span):
                    return True
            elif digit not in known:
                return True
        return not others


def is_numeric(values: Sequence[Any]) -> bool:
    """Whether an axis has an order: positive numbers only."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        for value in values
    )


def _coordinates(values: Sequence[Any]) -> Floats:
    if not is_numeric(values):
        return np.eye(len(values)) / math.sqrt(2)
    logs = np.log([float(value) for value in values])
    span = logs.max() - logs.min()
    scaled: Floats = (logs - logs.min()) / (span or 1.0)
    return scaled[:, None]


def put(body: dict[str, Any], pointer: str, value: Any) -> None:
    """Set what a JSON pointer leads to; the last field may be new in its object.

    Raises:
        LookupError: there is no such place.
    """
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    target: Any = body
    for part in path:
        if isinstance(target, list):
            target = target[_index(target, part)]
        elif isinstance(target, dict):
            target = target[part]
        else:
            raise LookupError(pointer)
    if isinstance(target, list):
        target[_index(target, last)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise LookupError(pointer)


def _index(target: list[Any], part: str) -> int:
    if not part.isdigit() or int(part) >= len(target):
        raise LookupError(part)
    return int(part)
