"""The arguments of an op: their types and defaults as torch's own signature declares them."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

REQUIRED = inspect.Parameter.empty

# Decided by the workload, or no plain data.
_NEVER = frozenset({"self", "device", "dtype", "_weight", "_freeze", "kwargs", "args"})


@dataclass(frozen=True)
class Argument:
    """One argument.

    Attributes:
        hint: its type, as annotated; tuples are lists in JSON.
        default: `REQUIRED` where there is none.
    """

    hint: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED

    @property
    def expected(self) -> str:
        """The type in words of JSON."""
        return _words(self.hint)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.hint)

    def parsed(self, value: Any) -> Any:
        """The value as torch takes it.

        Raises:
            ValueError: it is not of the type.
        """
        if value is None and self.default is None:
            return None  # some of torch's annotations leave it out
        try:
            return self._adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError:
            raise ValueError(f"{_shown(value)} is not {self.expected}") from None

    def described(self) -> dict[str, Any]:
        """For `GET /v1/models`, JSON-ready."""
        shown: dict[str, Any] = {"type": self.expected, "required": self.is_required}
        if not self.is_required:
            shown["default"] = self.default
        return shown


def arguments_of(
    function: Callable[..., Any], hints: Mapping[str, Any], without: frozenset[str] = frozenset()
) -> dict[str, Argument]:
    """The arguments of a constructor or a function that are plain data.

    Args:
        hints: types of arguments that torch does not annotate, or with types that are no data.
    """
    annotated = typing.get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, annotated.get(name, type(parameter.default)))
        if name in _NEVER or name in without or hint in (Tensor, Tensor | None):
            continue
        default = parameter.default
        if inspect.isfunction(default):  # of an argument that also takes a name
            default = default.__name__
        found[name] = Argument(_without_size(hint), default)
    return found


def _without_size(hint: Any) -> Any:
    """`torch.Size` is a list of integers here."""
    if hint is torch.Size:
        return list[int]
    members = get_args(hint)
    if get_origin(hint) in (types.UnionType, typing.Union) and torch.Size in members:
        return typing.Union[tuple(_without_size(member) for member in members)]  # noqa: UP007
    return hint


_NAMES = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a string",
    type(None): "null",
}


def _words(hint: Any) -> str:
    if hint in _NAMES:
        return _NAMES[hint]
    origin, members = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(json.dumps(member) for member in members)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(_words(member) for member in members))
    if origin is tuple and members[-1] is not Ellipsis:
        return f"a list of {len(members)}, each {_words(members[0])}"
    if origin in (tuple, list):
        return f"a list, each {_words(members[0])}"
    if origin is typing.Annotated:
        limits = [f"at most {each.le}" for each in hint.__metadata__ if hasattr(each, "le")]
        return " ".join([_words(members[0]), *limits])
    raise TypeError(f"{hint} is no type of plain data")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
