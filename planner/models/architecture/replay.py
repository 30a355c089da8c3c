"""Memory replay back-propagation (Memformer, arXiv 2010.06891, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from planner.models.architecture.random_state import ForwardState

Inputs = dict[str, Tensor]


def replayed_loss(segment: nn.Module, parts: list[Inputs], memory: Tensor) -> Tensor:
    """The mean of the segments' losses, for whose backward only the memories are saved.

    T B M H numbers and T random states instead of T segments' tensors. Backward goes from the last
    segment to the first: it runs the segment again from its memory, with the random state that it
    had, and passes the gradients of its loss and of the memory that it wrote back through it
    together. So one segment's tensors exist at a time.

    The forward computes the losses too, as `loss.backward()` starts from their mean; algorithm 1
    computes only memories there, which takes fewer FLOPs and no less memory.

    Args:
        segment: M_t and inputs to the segment's loss and M_{t+1}.
        memory: M_0.
    """
    loss: Tensor = _Replayed.apply(  # type: ignore[no-untyped-call]
        segment, parts, memory, *_trained(segment)
    )
    return loss


def _trained(segment: nn.Module) -> list[nn.Parameter]:
    return [p for p in segment.parameters() if p.requires_grad]


@contextmanager
def _replaced(segment: nn.Module, tensors: dict[nn.Parameter, Tensor]) -> Iterator[None]:
    """Within, the segment computes with these tensors in the place of its parameters.

    `torch.func.functional_call` does so too, but leaves a module that stands in two places (shared
    blocks) with what it was lent.
    """
    places = [
        (module._parameters, name, p)
        for module in segment.modules()
        for name, p in module._parameters.items()
        if p in tensors
    ]
    try:
        for owner, name, p in places:
            owner[name] = tensors[p]  # type: ignore[assignment]
        yield
    finally:
        for owner, name, p in places:
            owner[name] = p


class _Replayed(torch.autograd.Function):
    """The parameters are inputs, so that autograd itself accumulates their gradients and calls
    their hooks, once for all segments.
    """

    @staticmethod
    def forward(
        ctx: Any,
        segment: nn.Module,
        parts: list[Inputs],
        memory: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.segment, ctx.parts = segment, parts
        ctx.states, losses, memories = [], [], []
        for part in parts:
            memories.append(memory)
            state = ForwardState(memory)
            with state.autocast():
                loss, memory = segment(memory, part)
            ctx.states.append(state)
            losses.append(loss)
        ctx.save_for_backward(*memories)
        return torch.stack(losses).mean()

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> Any:
        # Leaves of their own: in them gradients of all segments gather, one parameter at a time.
        leaves = {p: p.detach().requires_grad_() for p in _trained(ctx.segment)}
        grad_loss = grad_loss / len(ctx.parts)
        grad_memory = None
        steps = list(zip(ctx.parts, ctx.states, ctx.saved_tensors, strict=True))
        with _replaced(ctx.segment, leaves):
            for part, state, memory in reversed(steps):
                grad_memory = _backward(ctx.segment, part, state, memory, grad_loss, grad_memory)
        return None, None, grad_memory, *(leaf.grad for leaf in leaves.values())


def _backward(
    segment: nn.Module,
    part: Inputs,
    state: ForwardState,
    memory: Tensor,
    grad_loss: Tensor,
    grad_written: Tensor | None,
) -> Tensor | None:
    """The gradient of the memory that the segment read.

    Args:
        grad_written: of the memory that it wrote; None: nothing reads that.
    """
    memory = memory.detach().requires_grad_()
    with torch.enable_grad(), state.replayed():
        loss, written = segment(memory, part)
    if grad_written is None:
        del written  # and what its graph has saved
        torch.autograd.backward([loss], [grad_loss])
    else:
        torch.autograd.backward([loss, written], [grad_loss, grad_written])
    return memory.grad
