"""Everything about a design search that can be known wrong before a design is simulated."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from planner.check import check
from planner.designs.request import MAX_DESIGNS, Axis, DesignSearchRequest, Transformer
from planner.designs.space import DesignSpace
from planner.errors import FieldProblem, InvalidRequest
from planner.models.fields import class_of
from planner.presets import resolve
from planner.request import SimulationRequest, TransformersModel

_MAX_CHARACTERS = 64 * 2**20
"""Of all designs as JSON: each is validated before the search begins."""
_SIZES = {
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "feed_forward": "intermediate_size",
}
"""Fields of `Transformer` -> the library's common names, of which a model may have its own."""


def check_design_search(request: DesignSearchRequest) -> DesignSearchRequest:
    """The request with its preset resolved and the transformer's sizes among its axes.

    Designs that their own check refuses are part of a space; that all of them are is a mistake.

    Raises:
        InvalidRequest: names every problem found, each with its field and a remedy.
    """
    request = request.model_copy(update={"model": resolve(request).model})
    axes = [*request.vary, *_axes_of_sizes(request)]
    request = request.model_copy(update={"vary": axes, "transformer": None})
    problems = [*_problems_of_space(request)] or [*_problems_of_designs(DesignSpace.of(request))]
    problems += _problems_of_prices(request)
    if problems:
        raise InvalidRequest(problems)
    return request


def _axes_of_sizes(request: DesignSearchRequest) -> list[Axis]:
    sizes: Transformer | None = request.transformer
    if sizes is None:
        return []
    if not isinstance(request.model, TransformersModel):
        raise InvalidRequest.at(
            "/transformer",
            f"a model of source {request.model.source} has no such fields",
            "name the fields that vary in /vary",
        )
    own = getattr(class_of(request.model.config["model_type"]), "attribute_map", {})
    found = {own.get(name, name): getattr(sizes, size) for size, name in _SIZES.items()}
    return [
        Axis(pointer=f"/model/config/{name}", values=values)
        for name, values in found.items()
        if values
    ]


def _problems_of_space(request: DesignSearchRequest) -> Iterator[FieldProblem]:
    if not request.vary:
        yield FieldProblem("/vary", "nothing varies", "add an axis, or sizes in /transformer")
        return
    pointers = [pointer for axis in request.vary for pointer in (axis.pointer, *axis.also)]
    for pointer in dict.fromkeys(pointers):
        clash = [o for o in pointers if o != pointer and f"{pointer}/".startswith(f"{o}/")]
        if pointers.count(pointer) > 1 or clash:
            yield FieldProblem("/vary", f"two axes change {pointer}", "leave one of them out")
            return
    space = DesignSpace.of(request)
    if space.size > MAX_DESIGNS:
        yield FieldProblem(
            "/vary", f"the space has {space.size} designs", f"leave at most {MAX_DESIGNS}"
        )
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
            f"{space.size} designs of {length} characters each are too much to look through",
            f"leave at most {max(1, _MAX_CHARACTERS // length)} designs",
        )


def _problems_of_designs(space: DesignSpace) -> list[FieldProblem]:
    """What is wrong with the first design, where something is wrong with every one looked at."""
    first: list[FieldProblem] = []
    for design in range(space.size):
        try:
            check(SimulationRequest.model_validate(space.body(design)))
        except InvalidRequest as error:
            first = first or error.errors
        except ValidationError as error:
            first = first or [
                FieldProblem("/" + "/".join(map(str, each["loc"])), each["msg"])
                for each in error.errors()
            ]
        else:
            return []
    return first


def _problems_of_prices(request: DesignSearchRequest) -> Iterator[FieldProblem]:
    if request.objective != "cost":
        return
    for name in request.devices:
        if name not in request.prices:
            yield FieldProblem(
                "/prices", f"{name[:60]} has none", "add what an hour of each device costs"
            )
