"""A linear layer as two of low rank, by truncated singular value decomposition."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from planner.models.architecture.projections import LowRankLinear


def factorised(linear: nn.Linear, *, rank: int | None, energy: float | None) -> LowRankLinear:
    """The layer's best approximation of a rank (Eckart and Young 1936), y = (x V^T) U^T + b.

    The error in the Frobenius norm is that of the singular values left out. Each factor takes the
    roots of the singular values, so that gradients of both are alike in scale. Both train as the
    weight did.

    Args:
        rank: r; at most the smaller side of the matrix.
        energy: instead, the share of the squared singular values that the smallest fitting rank
            keeps.
    """
    weight = linear.weight
    left, values, right = torch.linalg.svd(
        weight.detach().to(_svd_dtype(weight.dtype)), full_matrices=False
    )
    if rank is None:
        assert energy is not None, "the description asks for one of them"
        rank = rank_of_energy(values, energy)
    rank = min(rank, len(values))
    roots = values[:rank].sqrt()
    with torch.device("meta"):  # nothing is allocated or drawn: both are given below
        low = LowRankLinear(linear.in_features, linear.out_features, rank, bias=False)
    trains = weight.requires_grad
    low.down.weight = _parameter(roots[:, None] * right[:rank], weight.dtype, trains)
    low.up.weight = _parameter(left[:, :rank] * roots, weight.dtype, trains)
    low.up.bias = linear.bias
    return low


def rank_of_energy(values: Tensor, energy: float) -> int:
    """The least r whose first r singular values hold the share of the sum of squares."""
    shares = values.double().square().cumsum(0)
    reached = shares >= energy * shares[-1] * (1 - 1e-12)  # sums of fp64 differ by their order
    return int(reached.int().argmax()) + 1


def _svd_dtype(dtype: torch.dtype) -> torch.dtype:
    """LAPACK and cuSOLVER have no decomposition of 16-bit numbers."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _parameter(numbers: Tensor, dtype: torch.dtype, trains: bool) -> nn.Parameter:
    numbers = numbers.to(dtype).contiguous()
    return nn.Parameter(numbers, requires_grad=trains)
