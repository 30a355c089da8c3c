"""Blocks narrower than their stream (MobileBERT, arXiv 2004.02984, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from planner.models.architecture.blocks import PostNorm
from planner.models.architecture.projections import linear


class NoNorm(nn.Module):
    """y = x * g + b, element by element, where others normalise; x is saved for g's gradient."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """[.., size] -> [.., size]."""
        return x * self.weight + self.bias


class SharedKeyQuery(nn.Module):
    """Q and K of one narrow map of the stream, V of the stream itself."""

    def __init__(
        self,
        narrow: nn.Module,
        size: int,
        hidden: int,
        query: int,
        value: int,
        *,
        bias: bool,
        rank: int | None,
    ) -> None:
        super().__init__()
        self.narrow = narrow
        self.q_proj = linear(size, query, bias=bias, rank=rank)
        self.k_proj = linear(size, value, bias=bias, rank=rank)
        self.v_proj = linear(hidden, value, bias=bias, rank=rank)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, H] -> Q, K, V."""
        shared = self.narrow(x)
        return self.q_proj(shared), self.k_proj(shared), self.v_proj(x)


class BottleneckBlock(nn.Module):
    """z = narrow(x); z = norm(z + attention); z = norm(z + FFN(z)), n times;
    y = norm(x + dropout(z W)).

    Parameters are few, but a block saves for backward the stream's width and the narrow one of
    every feed-forward: training does not shrink as the parameters do.

    Args:
        narrow: [B, S, H] -> [B, S, size].
        attention: makes [B, S, size] of the stream, or of z where `attends_within`.
    """

    def __init__(
        self,
        narrow: nn.Module,
        attention: nn.Module,
        attention_norm: nn.Module,
        feed_forwards: list[PostNorm],
        widen: nn.Module,
        norm: nn.Module,
        dropout: float,
        attends_within: bool,
    ) -> None:
        super().__init__()
        self.narrow = narrow
        self.attention = attention
        self.attention_norm = attention_norm
        self.feed_forwards = nn.ModuleList(feed_forwards)
        self.widen = widen
        self.dropout = nn.Dropout(dropout)
        self.norm = norm
        self.attends_within = attends_within

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        z = self.narrow(x)
        z = self.attention_norm(z + self.attention(z if self.attends_within else x))
        for feed_forward in self.feed_forwards:
            z = feed_forward(z)
        result: Tensor = self.norm(x + self.dropout(self.widen(z)))
        return result
