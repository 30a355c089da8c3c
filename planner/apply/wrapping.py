"""Other behaviour for one module's `forward`, by a class of its own: like FSDP2, not by a wrapper.

The module stays where it is, with its name, parameters, hooks and state dict; `isinstance` answers
as before, and a deep copy of the model is planned as the original is. Only `pickle` of the whole
module fails: `remove_strategy` first, or save the state dict.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

Forward = Callable[..., Any]

_WRAPPERS = "_headroom_wrappers"


class Wrapper(Protocol):
    """Runs a module's forward in its own way."""

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Call `forward(*args, **kwargs)`, or something that has the same result."""


def wrap(module: nn.Module, wrapper: Wrapper) -> None:
    """Put a wrapper around the module's forward, inside of those that it has already."""
    wrappers = module.__dict__.get(_WRAPPERS)
    if wrappers is None:
        module.__dict__[_WRAPPERS] = wrappers = []
        module.__class__ = _planned_class(type(module))
    wrappers.append(wrapper)


def unwrap(module: nn.Module) -> bool:
    """Give the module its own forward back; False if it had no wrapper."""
    if module.__dict__.pop(_WRAPPERS, None) is None:
        return False
    module.__class__ = _own_class(module)
    return True


def is_wrapped(module: nn.Module) -> bool:
    """Whether the module has a wrapper."""
    return _WRAPPERS in module.__dict__


def inside(module: nn.Module, wrapper: Wrapper) -> Forward:
    """The module's forward as it is inside of one of its wrappers."""
    wrappers: list[Wrapper] = module.__dict__[_WRAPPERS]
    return _layer(module, _own_class(module).forward, wrappers, wrappers.index(wrapper) + 1)


def _own_class(module: nn.Module) -> type[nn.Module]:
    own: type[nn.Module] = type(module)._planned_from  # type: ignore[attr-defined]
    return own


_PLANNED: dict[type[nn.Module], type[nn.Module]] = {}


def _planned_class(cls: type[nn.Module]) -> type[nn.Module]:
    if cls not in _PLANNED:
        _PLANNED[cls] = _make_planned_class(cls)
    return _PLANNED[cls]


def _make_planned_class(cls: type[nn.Module]) -> type[nn.Module]:
    own = cls.forward

    @functools.wraps(own)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return own(self, *args, **kwargs)
        return _layer(self, own, self.__dict__[_WRAPPERS], 0)(*args, **kwargs)

    namespace = {"forward": forward, "_planned_from": cls, "__module__": cls.__module__}
    planned: type[nn.Module] = type(cls.__name__, (cls,), namespace)
    planned.__qualname__ = cls.__qualname__
    return planned


def _layer(module: nn.Module, own: Forward, wrappers: list[Wrapper], depth: int) -> Forward:
    """The forward inside the first `depth` wrappers."""
    if depth == len(wrappers):
        return functools.partial(own, module)
    wrapper = wrappers[depth]

    def forward(*args: Any, **kwargs: Any) -> Any:
        return wrapper(module, _layer(module, own, wrappers, depth + 1), args, kwargs)

    return forward
