"""Multi-head attention around any way to mix: y = concat(mix(Q_i, K_i, V_i)) W_O."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from planner.models.architecture.memory import MemoryLayer
from planner.models.architecture.positions import Rotary
from planner.models.architecture.projections import linear


class LinearQKV(nn.Module):
    """Q, K and V as three linear maps [B, S, H] -> [B, S, A d]; K and V may have fewer heads.

    With `shared`, keys are the queries (Reformer, arXiv 2001.04451, section 2).
    """

    def __init__(
        self, hidden: int, query: int, value: int, *, bias: bool, rank: int | None, shared: bool
    ) -> None:
        super().__init__()
        self.q_proj = linear(hidden, query, bias=bias, rank=rank)
        self.k_proj = None if shared else linear(hidden, value, bias=bias, rank=rank)
        self.v_proj = linear(hidden, value, bias=bias, rank=rank)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K, V; with a context [B, N, H], K and V are of that."""
        q, others = self.q_proj(x), x if context is None else context
        return q, q if self.k_proj is None else self.k_proj(others), self.v_proj(others)


class MemoryQKV(nn.Module):
    """Q, K and V read from tables by one hash of the tokens (MemoryFormer, arXiv 2411.12992)."""

    def __init__(
        self,
        hidden: int,
        query: int,
        value: int,
        *,
        bits: int,
        temperature: float,
        lookup: str,
        score: str,
    ) -> None:
        super().__init__()
        self.q_proj = MemoryLayer(hidden, query, bits, temperature, lookup, score)
        self.k_proj = MemoryLayer(hidden, value, bits, temperature, lookup, score)
        self.v_proj = MemoryLayer(hidden, value, bits, temperature, lookup, score)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Q, K, V."""
        rows, score = self.q_proj.hash(x)
        return (
            self.q_proj.read(rows, score),
            self.k_proj.read(rows, score),
            self.v_proj.read(rows, score),
        )


class MultiHeadAttention(nn.Module):
    """Split into heads, mix, merge, project.

    Args:
        projections: makes Q [B, S, A d], K and V [B, S, A_kv d] of x [B, S, H]; K and V of the
            context where there is one.
        mixer: [B, A, S, d], [B, A_kv, S, d], [B, A_kv, S, d] -> [B, A, S, d].
        out_proj: [B, S, A d] -> [B, S, H].
    """

    def __init__(
        self,
        projections: nn.Module,
        mixer: nn.Module,
        out_proj: nn.Module,
        head_dim: int,
        rotary: Rotary | None,
    ) -> None:
        super().__init__()
        self.qkv = projections
        self.rotary = rotary
        self.mixer = mixer
        self.out_proj = out_proj
        self.head_dim = head_dim

    @classmethod
    def of(cls, attention: MultiHeadAttention) -> Self:
        """The same attention, its modules included, of this class."""
        return cls(
            attention.qkv, attention.mixer, attention.out_proj, attention.head_dim, attention.rotary
        )

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        q, k, v = (self._split(part) for part in self.qkv(x, *context))
        if self.rotary is not None:
            q, k = self.rotary(q), self.rotary(k)
        mixed = self.mixer(q, k, v)
        output: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return output

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (-1, self.head_dim)).transpose(1, 2)


def repeat_heads(x: Tensor, num_heads: int) -> Tensor:
    """[B, A_kv, ...] -> [B, A, ...]: each head of keys or values for a group of queries."""
    groups = num_heads // x.shape[1]
    return x if groups == 1 else torch.repeat_interleave(x, groups, dim=1)
