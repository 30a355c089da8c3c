"""Everything about a design search that can be known wrong before a design is simulated."""

from __future__ import annotations

from collections.abc import Iterator

from planner.check import check
from planner.designs.request import MAX_DESIGNS, DesignSearchRequest, Transformer
from planner.errors import FieldProblem, InvalidRequest
from planner.models.fields import class_of
from planner.presets import resolve
from planner.request import TransformersModel
from planner.variation import Axis, Space, checked, problems_of_space

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
    problems = [*problems_of_space(request, MAX_DESIGNS)] or _problems_of_designs(Space.of(request))
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


def _problems_of_designs(space: Space) -> list[FieldProblem]:
    """What is wrong with the first design, where something is wrong with every one looked at."""
    first: list[FieldProblem] = []
    for design in range(space.size):
        try:
            checked(space, design, check)
        except InvalidRequest as error:
            first = first or error.errors
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
