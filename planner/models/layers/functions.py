"""Functions of torch that graphs may call: tensors by position, everything else by keyword.

Each has the name, the keywords and the mathematics of torch's own; what differs is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from annotated_types import Le
from torch import Tensor, nn
from torch.nn import functional as F

MAX_PARTS = 1_024

Dims = int | list[int] | None
Sizes = list[int | Literal["batch", "sequence_length"]]
Parts = Annotated[int, Le(MAX_PARTS)]


class Learned(nn.Module):
    """A parameter of its own: a class token, a table of positions, a scale."""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self) -> Tensor:
        """The parameter itself, without a batch."""
        return self.weight


def _second(other: Tensor | None, scalar: float | None) -> Tensor | float:
    if (other is None) == (scalar is None):
        raise ValueError("takes two inputs, or one and the argument other")
    return scalar if other is None else other  # type: ignore[return-value]


def add(first: Tensor, second: Tensor | None = None, *, other: float | None = None) -> Tensor:
    """Sum with a second input or a number."""
    return torch.add(first, _second(second, other))


def sub(first: Tensor, second: Tensor | None = None, *, other: float | None = None) -> Tensor:
    """Difference from a second input or a number."""
    return torch.sub(first, _second(second, other))


def mul(first: Tensor, second: Tensor | None = None, *, other: float | None = None) -> Tensor:
    """Product with a second input or a number."""
    return torch.mul(first, _second(second, other))


def div(first: Tensor, second: Tensor | None = None, *, other: float | None = None) -> Tensor:
    """Quotient by a second input or a number."""
    return torch.div(first, _second(second, other))


def maximum(first: Tensor, second: Tensor) -> Tensor:
    """The larger of two, by element."""
    return torch.maximum(first, second)


def pow(input: Tensor, *, exponent: float) -> Tensor:
    """Power by element."""
    return torch.pow(input, exponent)


def clamp(input: Tensor, *, min: float | None = None, max: float | None = None) -> Tensor:
    """Limit every element."""
    return torch.clamp(input, min, max)


def exp(input: Tensor) -> Tensor:
    """Exponential."""
    return torch.exp(input)


def log(input: Tensor) -> Tensor:
    """Natural logarithm."""
    return torch.log(input)


def sqrt(input: Tensor) -> Tensor:
    """Square root."""
    return torch.sqrt(input)


def rsqrt(input: Tensor) -> Tensor:
    """Reciprocal square root."""
    return torch.rsqrt(input)


def neg(input: Tensor) -> Tensor:
    """The negative."""
    return torch.neg(input)


def abs(input: Tensor) -> Tensor:
    """The absolute value."""
    return torch.abs(input)


def sin(input: Tensor) -> Tensor:
    """Sine."""
    return torch.sin(input)


def cos(input: Tensor) -> Tensor:
    """Cosine."""
    return torch.cos(input)


def detach(input: Tensor) -> Tensor:
    """The same data without gradient."""
    return input.detach()


def contiguous(input: Tensor) -> Tensor:
    """A copy in row-major order, where it is not so already."""
    return input.contiguous()


def cat(*inputs: Tensor, dim: int = 0) -> Tensor:
    """Join along a dimension."""
    return torch.cat(inputs, dim)


def stack(*inputs: Tensor, dim: int = 0) -> Tensor:
    """Join along a new dimension."""
    return torch.stack(inputs, dim)


def reshape(input: Tensor, *, shape: Sizes) -> Tensor:
    """Another shape, the batch included; "batch" and "sequence_length" are the workload's."""
    return torch.reshape(input, shape)  # type: ignore[arg-type]


def expand(input: Tensor, *, sizes: Sizes) -> Tensor:
    """Repeat dimensions of size 1 without copying, as `Tensor.expand`."""
    return input.expand(sizes)  # type: ignore[arg-type]


def flatten(input: Tensor, *, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join consecutive dimensions into one."""
    return torch.flatten(input, start_dim, end_dim)


def unflatten(input: Tensor, *, dim: int, sizes: Sizes) -> Tensor:
    """Split a dimension into several."""
    return input.unflatten(dim, sizes)  # type: ignore[no-untyped-call, no-any-return]


def transpose(input: Tensor, *, dim0: int, dim1: int) -> Tensor:
    """Swap two dimensions."""
    return torch.transpose(input, dim0, dim1)


def permute(input: Tensor, *, dims: list[int]) -> Tensor:
    """Reorder the dimensions."""
    return torch.permute(input, dims)


def squeeze(input: Tensor, *, dim: int) -> Tensor:
    """Drop a dimension of size 1."""
    return torch.squeeze(input, dim)


def unsqueeze(input: Tensor, *, dim: int) -> Tensor:
    """Add a dimension of size 1."""
    return torch.unsqueeze(input, dim)


def narrow(input: Tensor, *, dim: int, start: int, length: int) -> Tensor:
    """A slice of a dimension."""
    return torch.narrow(input, dim, start, length)


def select(input: Tensor, *, dim: int, index: int) -> Tensor:
    """One index of a dimension, which goes."""
    return torch.select(input, dim, index)


def chunk(input: Tensor, *, chunks: Parts, dim: int = 0) -> tuple[Tensor, ...]:
    """Equal parts along a dimension, an output each."""
    return torch.chunk(input, chunks, dim)


def split(input: Tensor, *, split_size_or_sections: int | list[int], dim: int = 0) -> list[Tensor]:
    """Parts of given sizes along a dimension, an output each."""
    size = split_size_or_sections
    if isinstance(size, int) and not 0 < input.shape[dim] / max(size, 1) <= MAX_PARTS:
        raise ValueError(f"makes more than {MAX_PARTS} parts")
    return list(torch.split(input, size, dim))


def roll(input: Tensor, *, shifts: int | list[int], dims: Dims = None) -> Tensor:
    """Shift cyclically."""
    return torch.roll(input, shifts, dims)  # type: ignore[arg-type]


def repeat_interleave(input: Tensor, *, repeats: int, dim: int) -> Tensor:
    """Repeat each index of a dimension."""
    return torch.repeat_interleave(input, repeats, dim)


def pad(
    input: Tensor,
    *,
    pad: list[int],
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    value: float | None = None,
) -> Tensor:
    """Pad the last dimensions, the last one first, as `torch.nn.functional.pad`."""
    return F.pad(input, pad, mode, value)


def matmul(first: Tensor, second: Tensor) -> Tensor:
    """Matrix product, batched by broadcasting."""
    return torch.matmul(first, second)


def einsum(*operands: Tensor, equation: str) -> Tensor:
    """Einstein's summation."""
    return torch.einsum(equation, *operands)


def mean(input: Tensor, *, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Mean over dimensions."""
    return torch.mean(input, dim, keepdim)


def sum(input: Tensor, *, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Sum over dimensions."""
    return torch.sum(input, dim, keepdim)


def amax(input: Tensor, *, dim: int | list[int], keepdim: bool = False) -> Tensor:
    """Largest value over dimensions."""
    return torch.amax(input, dim, keepdim)


def cumsum(input: Tensor, *, dim: int) -> Tensor:
    """Running sum along a dimension."""
    return torch.cumsum(input, dim)


def softmax(input: Tensor, *, dim: int) -> Tensor:
    """Softmax along a dimension."""
    return torch.softmax(input, dim)


def normalize(input: Tensor, *, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divide by the norm along a dimension."""
    return F.normalize(input, p, dim, eps)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention of [..., heads, length, width] by torch's fused kernels; without dropout."""
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
    )


FUNCTIONS: dict[str, Callable[..., Tensor | tuple[Tensor, ...] | list[Tensor]]] = {
    function.__name__: function
    for function in (
        *(add, sub, mul, div, maximum, pow, clamp, exp, log, sqrt, rsqrt, neg, abs, sin, cos),
        *(detach, contiguous, cat, stack, reshape, expand, flatten, unflatten, transpose, permute),
        *(squeeze, unsqueeze, narrow, select, chunk, split, roll, repeat_interleave, pad),
        *(matmul, einsum, mean, sum, amax, cumsum, softmax, normalize),
        scaled_dot_product_attention,
    )
}
