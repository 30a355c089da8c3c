"""Requests that vary: a simulation's body, axes along which it differs, and every combination.

Nothing here imports torch.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from planner.data import Data
from planner.errors import FieldProblem, InvalidRequest
from planner.request import SimulationRequest, check_bounded

_MAX_CHARACTERS = 64 * 2**20
"""Of all combinations as JSON: each is validated before anything is simulated."""

Pointer = Annotated[str, Field(pattern=r"^(/[^/]+)+$", max_length=300)]


class Axis(Data):
    """One thing that designs differ in: the values of a field of the request."""

    pointer: Pointer = Field(
        description="JSON pointer (RFC 6901) into the request, such as "
        "`/model/config/hidden_size`, `/workload/batch_size` or `/device`"
    )
    also: list[Pointer] = Field(
        [], max_length=8, description="further fields that take the same value"
    )
    values: list[Any] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _is_bounded(self) -> Axis:
        check_bounded({"values": self.values})
        if any(value in self.values[:index] for index, value in enumerate(self.values)):
            raise ValueError("values has one twice; leave one out")
        return self


class VariedRequest(SimulationRequest):
    """A simulation's request, and what of it varies."""

    vary: list[Axis] = Field(
        [], max_length=16, description="the space: every combination of the axes' values"
    )

    @property
    def devices(self) -> list[str]:
        """Names of the devices that the combinations are for."""
        for axis in self.vary:
            if "/device" in (axis.pointer, *axis.also):
                return [str(name) for name in axis.values]
        return [self.device]


@dataclass(frozen=True)
class Space:
    """Every combination of the values of the axes, in a base request.

    The number of a combination has the choice on each axis as a digit, the last axis the fastest.
    """

    base: dict[str, Any]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, request: VariedRequest) -> Self:
        """The space of a request."""
        base = request.model_dump(mode="json", include=set(SimulationRequest.model_fields))
        return cls(base, tuple(request.vary))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of combinations."""
        return math.prod(self.shape)

    def digits(self, number: int) -> tuple[int, ...]:
        """Which value of each axis the combination has."""
        return tuple(int(digit) for digit in np.unravel_index(number, self.shape))

    def choices(self, number: int) -> dict[str, Any]:
        """The combination's values by the pointers of their axes."""
        digits = self.digits(number)
        return {axis.pointer: axis.values[d] for axis, d in zip(self.axes, digits, strict=True)}

    def body(self, number: int) -> dict[str, Any]:
        """The combination as the body of a simulation, not validated."""
        body = copy.deepcopy(self.base)
        for axis, digit in zip(self.axes, self.digits(number), strict=True):
            for pointer in (axis.pointer, *axis.also):
                put(body, pointer, copy.deepcopy(axis.values[digit]))
        return body


def problems_of_space(request: VariedRequest, most: int) -> Iterator[FieldProblem]:
    """What is wrong with the axes themselves, whatever the combinations are; at most one problem.

    Args:
        most: combinations that there may be.
    """
    if not request.vary:
        yield FieldProblem("/vary", "nothing varies", "add an axis")
        return
    pointers = [pointer for axis in request.vary for pointer in (axis.pointer, *axis.also)]
    for pointer in dict.fromkeys(pointers):
        clash = [o for o in pointers if o != pointer and f"{pointer}/".startswith(f"{o}/")]
        if pointers.count(pointer) > 1 or clash:
            yield FieldProblem("/vary", f"two axes change {pointer}", "leave one of them out")
            return
    space = Space.of(request)
    if space.size > most:
        yield FieldProblem("/vary", f"there are {space.size} combinations", f"leave at most {most}")
        return
    try:
        length = len(json.dumps(space.body(0)))
    except LookupError as error:
        yield FieldProblem(
            "/vary", f"the request has no place for {error}", "give its parent in the request"
        )
        return
    if length * space.size > _MAX_CHARACTERS:
        yield FieldProblem(
            "/vary",
            f"{space.size} combinations of {length} characters each are too much to look through",
            f"leave at most {max(1, _MAX_CHARACTERS // length)}",
        )


def checked(
    space: Space, number: int, check: Callable[[SimulationRequest], SimulationRequest]
) -> SimulationRequest:
    """One combination as a request, as the check returns it.

    Raises:
        InvalidRequest: it is not right; names each field.
    """
    try:
        request = SimulationRequest.model_validate(space.body(number))
    except ValidationError as error:
        raise InvalidRequest(
            [
                FieldProblem("/" + "/".join(map(str, each["loc"])), each["msg"])
                for each in error.errors()
            ]
        ) from None
    return check(request)


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
