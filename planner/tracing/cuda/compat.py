"""Library code that asks for CUDA by name, or reads numbers where no dispatch mode sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from planner.tracing.cuda import backend


@contextmanager
def as_on_cuda() -> Iterator[None]:
    """Inside, `transformers` takes the branches that it takes on the simulated device."""
    from transformers.integrations import moe

    with ExitStack() as stack:
        for module, name, make in (
            (torch, "tensor", _of_numbers),
            (moe, "_can_use_grouped_mm", _from_ampere_on),
        ):
            stack.enter_context(patch.object(module, name, make(getattr(module, name))))
        # Optimizers take their kernels for many tensors where all are of a plain type.
        optimizer = sys.modules["torch.optim.optimizer"]  # torch.optim deletes the name
        plain = [*optimizer._foreach_supported_types, FakeTensor]
        stack.enter_context(patch.object(optimizer, "_foreach_supported_types", plain))
        yield


def _of_numbers(original: Any) -> Any:
    """`torch.tensor` of tensors reads them one by one, below every mode."""

    def tensor(data: Any, *args: Any, **kwargs: Any) -> Tensor:
        made: Tensor = original(_numbers(data), *args, **kwargs)
        return made

    return tensor


def _numbers(data: Any) -> Any:
    if not isinstance(data, (list, tuple)):
        return data
    if any(isinstance(item, (Tensor, list, tuple)) for item in data):
        return [item.tolist() if isinstance(item, Tensor) else _numbers(item) for item in data]
    return data


def _from_ampere_on(original: Any) -> Any:
    """Grouped products need compute capability 8.0 (transformers/integrations/moe.py)."""

    def can_use(*args: Any, **kwargs: Any) -> bool:
        capability = backend.profile().compute_capability
        return bool(original(*args, **kwargs)) and capability is not None and capability >= (8, 0)

    return can_use
