"""Reversible blocks: backward computes a block's inputs from its outputs (RevNet, 1707.04585)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from planner.models.architecture.blocks import PreNorm
from planner.models.architecture.random_state import ForwardState


class ReversibleBlock(nn.Module):
    """y_1 = x_1 + F(x_2); y_2 = x_2 + G(y_1), so x_2 = y_2 - G(y_1); x_1 = y_1 - F(x_2).

    F is attention and G the feed-forward, norms inside (Reformer, arXiv 2001.04451, section 3).
    """

    def __init__(self, attention: PreNorm, feed_forward: PreNorm) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """[B, S, H] twice -> [B, S, H] twice, by plain autograd."""
        first = first + self.attention(second)
        return first, second + self.feed_forward(first)


class ReversibleSequence(nn.Module):
    """Blocks of which only the last one's outputs are kept for backward, whatever their number.

    Both streams start as the input and end as their mean. Backward runs each block's forward again
    with the random state that it had, so dropout draws the same masks. Its inputs come back with
    the rounding of one addition and subtraction each: the error grows with depth, and in 16 bits
    it is large.

    Args:
        blocks: `ReversibleBlock`s.
    """

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        first, second = x, x
        streams = _Streams()
        for block in self.blocks:
            if torch.is_grad_enabled():
                parameters = [p for p in block.parameters() if p.requires_grad]
                first, second = _Invertible.apply(  # type: ignore[no-untyped-call]
                    block, streams, first, second, *parameters
                )
            else:
                first, second = block(first, second)
        return (first + second) / 2


class _Streams:
    """Both streams at the border between blocks that backward has come to."""

    def __init__(self) -> None:
        self._pair: tuple[Tensor, Tensor] | None = None

    @property
    def is_empty(self) -> bool:
        """Before the first block, and after backward."""
        return self._pair is None

    def put(self, first: Tensor, second: Tensor) -> None:
        """Hold the streams, without their history."""
        self._pair = first.detach(), second.detach()

    def take(self) -> tuple[Tensor, Tensor]:
        """The streams, held no more."""
        if self._pair is None:
            raise RuntimeError("reversible blocks can go backward only once for each forward")
        pair, self._pair = self._pair, None
        return pair


class _Invertible(torch.autograd.Function):
    """One block. Its parameters are inputs, so that autograd itself accumulates their gradients
    and calls their hooks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        block: ReversibleBlock,
        streams: _Streams,
        first: Tensor,
        second: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.block, ctx.streams, ctx.is_first = block, streams, streams.is_empty
        ctx.attention_state = ForwardState(second)
        with ctx.attention_state.autocast():
            first = first + block.attention(second)
        ctx.feed_forward_state = ForwardState(first)
        with ctx.feed_forward_state.autocast():
            second = second + block.feed_forward(first)
        streams.put(first, second)
        return first, second

    @staticmethod
    def backward(ctx: Any, grad_first: Tensor, grad_second: Tensor) -> Any:
        block: ReversibleBlock = ctx.block
        first, second = ctx.streams.take()
        gradients = _Gradients()
        added, grad = gradients.of(block.feed_forward, ctx.feed_forward_state, first, grad_second)
        second = second - added
        grad_first = grad_first + grad
        added, grad = gradients.of(block.attention, ctx.attention_state, second, grad_first)
        if not ctx.is_first:
            ctx.streams.put(first - added, second)
        return None, None, grad_first, grad_second + grad, *gradients.in_order(block)


class _Gradients:
    """Of a block's parameters, by parameter."""

    def __init__(self) -> None:
        self._found: dict[Tensor, Tensor | None] = {}

    def of(
        self, function: nn.Module, state: ForwardState, x: Tensor, grad: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The function's value at x, and the gradient that reaches x through it."""
        parameters = [p for p in function.parameters() if p.requires_grad]
        with torch.enable_grad(), state.replayed():
            x = x.detach().requires_grad_()
            value: Tensor = function(x)
        grad_x, *found = torch.autograd.grad(value, [x, *parameters], grad, allow_unused=True)
        self._found.update(zip(parameters, found, strict=True))
        return value.detach(), torch.zeros_like(x) if grad_x is None else grad_x

    def in_order(self, block: nn.Module) -> list[Tensor | None]:
        """As the block names its parameters."""
        return [self._found.get(p) for p in block.parameters() if p.requires_grad]
