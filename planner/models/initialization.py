"""Weight initialisation: none on fake tensors, cheap and finite on real ones.

The library's initialisers decide *which* distribution a weight gets; drawing it for billions of
numbers takes minutes and reads data, which fake tensors have not. Memory does not depend on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

# A prime, so that a tiled tensor has no two equal rows at the usual widths.
_BLOCK = 1_000_003


@contextmanager
def skipped() -> Iterator[None]:
    """Leave weights as allocated: for fake tensors, whose values nobody reads."""
    from transformers import PreTrainedModel

    with ExitStack() as stack:
        _patch_torch(stack, lambda name, original: _untouched)
        stack.enter_context(patch.object(PreTrainedModel, "initialize_weights", _untouched))
        yield


@contextmanager
def cheap() -> Iterator[None]:
    """The library's own initialisation, large random tensors filled from one repeated block."""
    from transformers import initialization

    with ExitStack() as stack:
        _patch_torch(stack, _tiled_when_large)
        tiled = {
            name: _tiled_when_large(name, function)
            for name, function in initialization.TORCH_INIT_FUNCTIONS.items()
        }
        stack.enter_context(patch.dict(initialization.TORCH_INIT_FUNCTIONS, tiled))
        yield


def _patch_torch(stack: ExitStack, replace: Callable[[str, Any], Callable[..., Any]]) -> None:
    # `from torch.nn.init import ...` binds names at import, so every module holding one is patched;
    # the list is the library's own.
    from transformers import initialization

    for module_name in initialization.TORCH_MODULES_TO_PATCH:
        module = sys.modules.get(module_name)
        for name, original in initialization.TORCH_INIT_FUNCTIONS.items():
            if module is not None and hasattr(module, name):
                stack.enter_context(patch.object(module, name, replace(name, original)))


def _untouched(tensor: Any = None, *_: object, **__: object) -> Any:
    return tensor


_CONSTANT = frozenset({"constant_", "ones_", "zeros_", "eye_", "dirac_"})


def _tiled_when_large(name: str, original: Any) -> Callable[..., Any]:

    def initialise(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        if name in _CONSTANT or tensor.numel() <= _BLOCK or not tensor.is_contiguous():
            return original(tensor, *arguments, **options)
        std = options.get("std", 0.02) or 0.02
        with torch.no_grad():
            _tile(tensor.view(-1), std)
        return tensor

    return initialise


def _tile(flat: Tensor, std: float) -> None:
    block = torch.empty(_BLOCK, dtype=flat.dtype, device=flat.device).normal_(0.0, std)
    whole = flat.numel() // _BLOCK * _BLOCK
    flat[:whole].view(-1, _BLOCK).copy_(block)
    flat[whole:].copy_(block[: flat.numel() - whole])
