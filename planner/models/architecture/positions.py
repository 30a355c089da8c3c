"""Where a token stands: vectors added to embeddings, or turns of queries and keys."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """One vector for each position [P, E]."""

    def __init__(self, max_positions: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_positions, size))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, length: int) -> Tensor:
        """[length, E]."""
        return self.weight[:length]


class SinusoidalPositions(nn.Module):
    """PE[p, 2i] = sin(p / 10000^(2i/E)), PE[p, 2i+1] = cos of the same (arXiv 1706.03762, 3.5)."""

    table: Tensor

    def __init__(self, max_positions: int, size: int) -> None:
        super().__init__()
        angles = _angles(max_positions, size)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        self.register_buffer("table", table[:, :size].contiguous(), persistent=False)

    def forward(self, length: int) -> Tensor:
        """[length, E]."""
        return self.table[:length]


class AxialPositions(nn.Module):
    """PE[p] = [R[p // columns], C[p % columns]] with R [rows, E_1] and C [columns, E_2].

    rows E_1 + columns E_2 parameters instead of rows columns (E_1 + E_2) (Reformer's code,
    google/trax; half a million positions of width 1024 would be 2 GiB otherwise).
    """

    def __init__(self, shape: tuple[int, int], sizes: tuple[int, int]) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(shape[0], 1, sizes[0]))
        self.columns = nn.Parameter(torch.empty(1, shape[1], sizes[1]))
        for weight in (self.rows, self.columns):
            nn.init.normal_(weight, std=0.02)

    def forward(self, length: int) -> Tensor:
        """[length, E_1 + E_2]."""
        columns = self.columns.shape[1]
        rows = -(-length // columns)
        parts = [self.rows[:rows].expand(-1, columns, -1), self.columns.expand(rows, -1, -1)]
        return torch.cat(parts, dim=-1).flatten(0, 1)[:length]


class Rotary(nn.Module):
    """Pairs of numbers of queries and keys, turned by p / 10000^(2i/d) (arXiv 2104.09864).

    Halves are paired as in GPT-NeoX: x cos + [-x_2, x_1] sin.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, max_positions: int, head_dim: int) -> None:
        super().__init__()
        angles = _angles(max_positions, head_dim).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, A, S, d] -> [B, A, S, d]."""
        length = x.shape[-2]
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat([-second, first], dim=-1)
        return x * self.cos[:length].to(x.dtype) + turned * self.sin[:length].to(x.dtype)


def _angles(max_positions: int, size: int) -> Tensor:
    """[P, ceil(size / 2)]."""
    pairs = torch.arange(0, size, 2, dtype=torch.float32)
    frequencies = torch.exp(-math.log(10_000.0) / size * pairs)
    return torch.arange(max_positions, dtype=torch.float32)[:, None] * frequencies
