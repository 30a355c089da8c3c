"""Which linear layers of a model a compression names, and putting others in their place."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from torch import nn

from planner.errors import InvalidRequest


def linear_layers(model: nn.Module) -> list[str]:
    """Paths of all layers with a matrix of their own, in the model's order.

    Subclasses have reasons of their own (`nn.MultiheadAttention` reads its projection's weight), so
    only `nn.Linear` itself counts, and transformers' `Conv1D`, which is one transposed.
    """
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in model.named_modules() if type(module) in (nn.Linear, Conv1D)]


def chosen_layers(model: nn.Module, patterns: list[str] | None, pointer: str) -> list[str]:
    """The layers that the patterns name; without patterns all but the output head.

    Raises:
        InvalidRequest: a pattern matches nothing, or there is no layer at all.
    """
    paths = linear_layers(model)
    if patterns is None:
        head = _output_head(model, paths)
        paths = [path for path in paths if path != head]
        if not paths:
            raise InvalidRequest.at(
                pointer,
                f"{type(model).__name__} has no linear layer besides its output head",
                'name layers in modules, for example ["*"]',
            )
        return paths
    return matching(paths, patterns, pointer, "linear layer")


def matching(paths: list[str], patterns: list[str], pointer: str, kind: str) -> list[str]:
    """Those of the paths that a pattern matches, in their order.

    Raises:
        InvalidRequest: a pattern matches nothing.
    """
    found: set[str] = set()
    for index, pattern in enumerate(patterns):
        matched = fnmatch.filter(paths, pattern)
        if not matched:
            example = f"paths look like {paths[0]!r}" if paths else "the model has none"
            raise InvalidRequest.at(
                f"{pointer}/modules/{index}", f"{pattern!r} matches no {kind}", example
            )
        found.update(matched)
    return [path for path in paths if path in found]


def _output_head(model: nn.Module, paths: list[str]) -> str | None:
    """Path of the layer that makes logits: what the model says, or the last layer that is in no
    repeated block.
    """
    get = getattr(model, "get_output_embeddings", None)
    head = get() if get is not None else None
    if head is not None:
        return next((path for path in paths if model.get_submodule(path) is head), None)
    single = [path for path in paths if not any(part.isdigit() for part in path.split("."))]
    return single[-1] if single else None


def replace_each(
    model: nn.Module, paths: list[str], change: Callable[[nn.Linear], nn.Module]
) -> None:
    """Put what `change` makes of each layer in all its places, one after the other, so that each
    old weight is free before the next layer is changed.
    """
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for parent in model.modules():
        for name, child in parent._modules.items():
            places.setdefault(id(child), []).append((parent, name))
    for path in paths:
        layer = model.get_submodule(path)
        homes = places[id(layer)]
        changed = change(as_linear(layer))
        changed.train(layer.training)
        del layer
        for parent, name in homes:
            parent._modules[name] = changed
        del changed


def as_linear(layer: nn.Module) -> nn.Linear:
    """The layer as `nn.Linear`: a `Conv1D` (y = x W + b) with its matrix transposed, a view."""
    if isinstance(layer, nn.Linear):
        return layer
    weight: Any = layer.weight
    linear = nn.Linear(1, 1, bias=False, device="meta")
    linear.in_features, linear.out_features = weight.shape
    linear.weight = nn.Parameter(weight.detach().t(), requires_grad=weight.requires_grad)
    linear.bias = layer.bias  # type: ignore[assignment]
    return linear
