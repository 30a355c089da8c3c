"""EViT: tokens that the class token attends to go on, the others become one (arXiv 2202.07800)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from planner.architecture.tokens import PruneTokens
from planner.models.architecture.heads import repeat_heads
from planner.models.architecture.keyed import KeyedPostNorm, KeyedPreNorm, feed


def class_attention(q: Tensor, k: Tensor) -> Tensor:
    """[B, A, S, d], [B, A_kv, S, d] -> [B, S - 1]: how much the first token attends to each other.

    Its row of softmax(Q K^T / sqrt d) alone, mean over heads: A S numbers, whatever the kernel of
    the attention itself keeps. (The authors' code takes the row from scores that it has anyway.)
    """
    scores = q[:, :, :1] @ repeat_heads(k, q.shape[1]).transpose(-1, -2) / math.sqrt(q.shape[-1])
    return scores.softmax(-1)[:, :, 0, 1:].mean(1)


class TokenPruning(nn.Module):
    """x [B, S, H] -> the first token, those kept, and with `fuse` one of those left out.

    Args:
        schedule: how many tokens stay besides the first, in the order of its attention, and
            whether those left out go on as one, their sum weighted by that attention (section 3.2).
    """

    def __init__(self, schedule: PruneTokens) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, x: Tensor, q: Tensor, k: Tensor) -> Tensor:
        """[B, S, H], [B, A, S, d], [B, A_kv, S, d] -> [B, 1 + kept (+ 1), H]."""
        kept = self.schedule.kept(x.shape[1])
        if kept == x.shape[1] - 1:
            return x
        attention = class_attention(q, k)
        order = attention.argsort(dim=-1, descending=True)
        first, others = x[:, :1], x[:, 1:]
        parts = [first, _gathered(others, order[:, :kept])]
        if self.schedule.fuse:
            left_out = order[:, kept:]
            weights = attention.gather(1, left_out).unsqueeze(-1)
            parts.append((_gathered(others, left_out) * weights).sum(1, keepdim=True))
        return torch.cat(parts, dim=1)


def _gathered(x: Tensor, places: Tensor) -> Tensor:
    """[B, S, H], [B, n] -> [B, n, H]."""
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class PruningBlock(nn.Module):
    """Attention, pruning, feed-forward."""

    def __init__(
        self,
        attention: KeyedPreNorm | KeyedPostNorm,
        pruning: TokenPruning,
        feed_forward: nn.Module | None,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.pruning = pruning
        self.feed_forward = feed_forward

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S', H]."""
        return feed(self.feed_forward, self.pruning(*self.attention(x)))
