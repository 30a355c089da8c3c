"""Whether torch's optimizer of that name takes the arguments asked for."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from planner.errors import FieldProblem
from planner.models.optimizers import OPTIMIZERS, arguments_of, class_path, optimizer_class
from planner.request import Optimizer

_ROOT = "/workload/optimizer"
_EXCLUDED = {
    "lbfgs": "it re-evaluates the loss in a closure several times a step",
    "sparseadam": "it takes sparse gradients only, and these models have dense ones",
    "muon": "torch's own takes 2-D parameters only, and these models have biases and norms too",
}
_REFUSED = {
    "differentiable": "differentiates through the optimizer, which no training step here does",
    "capturable": "is for capture in a CUDA graph",
}


def optimizer_problems(spec: Optimizer) -> list[FieldProblem]:
    """What torch would refuse, by field."""
    name = spec.name.lower()
    if name not in OPTIMIZERS:
        return [_unknown_optimizer(name)]
    taken = arguments_of(name)
    problems = [
        problem
        for key, value in spec.arguments.items()
        for problem in _argument_problems(name, key, value, taken)
    ]
    return problems or list(_refused_by_torch(name, spec.arguments))


def _unknown_optimizer(name: str) -> FieldProblem:
    if name in _EXCLUDED:
        detail = f"{name} is not supported: {_EXCLUDED[name]}"
    else:
        detail = f"unknown optimizer {name!r}"
    close = difflib.get_close_matches(name, OPTIMIZERS, n=1)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    return FieldProblem(f"{_ROOT}/name", detail, f"{hint}use one of {', '.join(OPTIMIZERS)}")


def _argument_problems(
    name: str, key: str, value: Any, taken: dict[str, inspect.Parameter]
) -> Iterator[FieldProblem]:
    pointer = f"{_ROOT}/{key}"
    if key not in taken:
        close = difflib.get_close_matches(key, taken, n=1)
        remedy = f'did you mean "{close[0]}"?' if close else f"it takes {', '.join(taken)}"
        yield FieldProblem(pointer, f"{class_path(name)} takes no argument {key!r}", remedy)
    elif key in _REFUSED and value:
        yield FieldProblem(pointer, f"{key} {_REFUSED[key]}", "remove it")
    elif expected := _mismatch(value, taken[key].default):
        yield FieldProblem(pointer, f"{value!r} is not {expected}", f"give {expected}")


def _mismatch(value: Any, default: Any) -> str | None:
    """What is expected instead of the value, judged by torch's own default; None where it fits."""
    if default is None or isinstance(default, bool):  # foreach and fused default to None
        fits = isinstance(value, bool) or (value is None and default is None)
        return None if fits else "true or false"
    if isinstance(default, tuple):
        fits = isinstance(value, list) and len(value) == len(default)
        fits = fits and all(
            _is_number(item) or (item is None and known is None)
            for item, known in zip(value, default, strict=True)
        )
        return None if fits else f"a list of {len(default)} numbers"
    return None if _is_number(value) else "a number"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refused_by_torch(name: str, arguments: dict[str, Any]) -> Iterator[FieldProblem]:
    """Ask the class itself, over one number: its constructor checks ranges and combinations."""
    tuples: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()
    }
    try:
        optimizer_class(name)([nn.Parameter(torch.zeros(1))], **tuples)
    except (TypeError, ValueError, RuntimeError) as error:
        detail = str(error)
        words = detail.lower().replace("learning rate", "lr").replace(" ", "_")
        named = [key for key in arguments if key in words or key.rstrip("s") in words]
        pointer = f"{_ROOT}/{max(named, key=len)}" if named else _ROOT
        yield FieldProblem(
            pointer,
            f"{class_path(name)} refuses it: {detail}",
            "see the ranges in torch's documentation of that class",
        )
