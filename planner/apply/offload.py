"""Units whose saved tensors wait in host memory between forward and backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from planner.apply.wrapping import Forward

MIN_BYTES = 1 << 16  # a smaller copy costs more in latency than it frees

_Waiting = tuple[torch.device, Tensor]


@dataclass(frozen=True)
class Offload:
    """Copy what the unit saves to the host (pinned where the device is CUDA), and back on use.

    Parameters stay: they are alive anyway. As `torch.autograd.graph.save_on_cpu`, which copies
    parameters and the smallest tensors too.
    """

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Run with hooks on everything that autograd saves."""
        with saved_tensors_hooks(_to_host, _to_device):
            return forward(*args, **kwargs)


def _to_host(tensor: Tensor) -> Tensor | _Waiting:
    if tensor.nbytes < MIN_BYTES or _is_parameter(tensor):
        return tensor
    pinned = tensor.is_cuda
    waiting = torch.empty_like(tensor, device="cpu", pin_memory=pinned)
    waiting.copy_(tensor, non_blocking=pinned)
    return tensor.device, waiting


def _to_device(packed: Tensor | _Waiting) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    device, waiting = packed
    return waiting.to(device, non_blocking=waiting.is_pinned())


def _is_parameter(tensor: Tensor) -> bool:
    base = tensor._base if tensor._base is not None else tensor
    return isinstance(base, nn.Parameter)
