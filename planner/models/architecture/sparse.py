"""Sparse Transformer: attention factorised into two patterns (arXiv 1904.10509, section 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.architecture.scores import attend
from planner.models.architecture.sliding_window import SlidingWindowMixer


class ColumnMixer(nn.Module):
    """Second strided pattern: token i attends to those j with (i - j) mod l = 0.

    The sequence is laid out in rows of l, so each column is a short sequence: scores
    [B, A, l, S/l, S/l].
    """

    def __init__(self, stride: int, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        q, k, v = (torch.unflatten(x, 2, (-1, self.stride)).transpose(2, 3) for x in (q, k, v))
        rows = q.shape[3]
        hidden = torch.ones(rows, rows, dtype=torch.bool, device=q.device).triu(1)
        mixed = attend(q, k, v, hidden if self.causal else None)
        return mixed.transpose(2, 3).flatten(2, 3)


class BlockMixer(nn.Module):
    """First fixed pattern: token i attends to its own block, floor(j / l) = floor(i / l).

    Scores [B, A, S/l, l, l].
    """

    def __init__(self, stride: int, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        q, k, v = (torch.unflatten(x, 2, (-1, self.stride)) for x in (q, k, v))
        size = self.stride
        hidden = torch.ones(size, size, dtype=torch.bool, device=q.device).triu(1)
        return attend(q, k, v, hidden if self.causal else None).flatten(2, 3)


class SummaryMixer(nn.Module):
    """Second fixed pattern: token i attends to the last c tokens of each block of l.

    Scores [B, A, S, c S/l]. In decoders the tokens of the first block that come before its summary
    have nothing to attend to; their output is 0.
    """

    def __init__(self, stride: int, summary_tokens: int, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.summary_tokens = summary_tokens
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        k, v = self._summaries(k), self._summaries(v)
        if not self.causal:
            return attend(q, k, v, None)
        places = torch.arange(q.shape[2], device=q.device)
        keys = torch.unflatten(places, 0, (-1, self.stride))[:, -self.summary_tokens :].flatten()
        first = self.stride - self.summary_tokens  # the first summary token's place
        mixed = attend(q[:, :, first:], k, v, keys > places[first:, None])
        return F.pad(mixed, (0, 0, first, 0))

    def _summaries(self, x: Tensor) -> Tensor:
        """[B, A, S, d] -> [B, A, c S/l, d]."""
        return torch.unflatten(x, 2, (-1, self.stride))[:, :, :, -self.summary_tokens :].flatten(
            2, 3
        )


class HalvesMixer(nn.Module):
    """One pattern for the first half of the heads, another for the others."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        halves = zip(*(x.chunk(2, dim=1) for x in (q, k, v)), strict=True)
        mixers = (self.first, self.second)
        parts = [mixer(*half) for mixer, half in zip(mixers, halves, strict=True)]
        return torch.cat(parts, dim=1)


def sparse_mixer(
    pattern: str, stride: int, summary_tokens: int, factors: str, causal: bool
) -> nn.Module:
    """The pattern's two steps, or one of them."""
    first: nn.Module
    second: nn.Module
    if pattern == "strided":
        first, second = SlidingWindowMixer(stride, causal), ColumnMixer(stride, causal)
    else:
        first = BlockMixer(stride, causal)
        second = SummaryMixer(stride, summary_tokens, causal)
    if factors == "heads":
        return HalvesMixer(first, second)
    return first if factors == "first" else second
