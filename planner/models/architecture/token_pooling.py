"""Fewer tokens between entries of blocks: pooling (Funnel, Swin's patch merging)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.architecture.blocks import PostNorm, PreNorm
from planner.models.architecture.heads import MultiHeadAttention
from planner.models.architecture.keyed import feed


class TokenPooling(nn.Module):
    """Windows of tokens become one: their mean or largest numbers (arXiv 2006.03236, section 2.2).

    As in the authors' code with `separate_cls` and `truncate_seq`: the class token stays as it is,
    and last tokens that fill no window are left out.

    Args:
        has_first: the first token classifies.
        grid: rows and columns of patches, for windows of stride x stride; None: a sequence.
    """

    def __init__(
        self, stride: int, mode: str, has_first: bool, grid: tuple[int, int] | None
    ) -> None:
        super().__init__()
        self.stride = stride
        self.mode = mode
        self.has_first = has_first
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S', H]."""
        if not self.has_first:
            return self._pooled(x)
        return torch.cat([x[:, :1], self._pooled(x[:, 1:])], dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        pool = F.avg_pool2d if self.mode == "mean" else F.max_pool2d
        if self.grid is None:
            return pool(x.unsqueeze(1), (self.stride, 1)).squeeze(1)
        image = torch.unflatten(x.transpose(1, 2), 2, self.grid)
        return pool(image, self.stride).flatten(2).transpose(1, 2)


class QueryPoolingBlock(nn.Module):
    """A block whose stream is pooled, while its attention still sees all tokens (`pool_q_only` in
    the code of Funnel's authors).
    """

    def __init__(
        self,
        pooling: TokenPooling,
        attention: PreNorm | PostNorm,
        feed_forward: nn.Module | None,
    ) -> None:
        super().__init__()
        assert isinstance(attention.function, MultiHeadAttention), "the rules ask for dense"
        self.pooling = pooling
        self.norm = attention.norm
        self.attention = attention.function
        self.dropout = attention.dropout
        self.feed_forward = feed_forward
        self.is_pre_norm = isinstance(attention, PreNorm)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S', H]."""
        pooled = self.pooling(x)
        if self.is_pre_norm:
            pooled = pooled + self.dropout(self.attention(self.norm(pooled), self.norm(x)))
        else:
            pooled = self.norm(pooled + self.dropout(self.attention(pooled, x)))
        return feed(self.feed_forward, pooled)


class PatchMerging(nn.Module):
    """2 x 2 patches, set side by side [.., 4 H], normed and mapped (arXiv 2103.14030, section 3.1).

    Args:
        grid: rows and columns of patches, both even.
    """

    def __init__(self, hidden: int, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * hidden)
        self.reduction = nn.Linear(4 * hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S / 4, width]."""
        x = torch.unflatten(x, 1, self.grid)
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return merged.flatten(1, 2)
