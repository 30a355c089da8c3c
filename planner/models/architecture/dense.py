"""Softmax attention over all tokens (arXiv 1706.03762), with grouped queries (2305.13245)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.architecture.heads import repeat_heads


class SdpaMixer(nn.Module):
    """softmax(Q K^T / sqrt d) V by `torch.nn.functional.scaled_dot_product_attention`.

    Which kernel runs, and whether scores exist in memory, is the device's rule.
    """

    def __init__(self, causal: bool, dropout: float) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = dropout

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """[B, A, S, d], [B, A_kv, S, d], [B, A_kv, S, d] -> [B, A, S, d].

        Args:
            bias: added to scores, of a shape that spreads to [B, A, S, S].
        """
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if bias is None else bias.to(q.dtype),
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
            enable_gqa=q.shape[1] != k.shape[1],
        )


class EagerMixer(nn.Module):
    """softmax(Q K^T / sqrt d) V as three ops; scores [B, A, S, S] and their softmax are saved."""

    def __init__(self, causal: bool, dropout: float) -> None:
        super().__init__()
        self.causal = causal
        self.dropout = nn.Dropout(dropout)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """[B, A, S, d], [B, A_kv, S, d], [B, A_kv, S, d] -> [B, A, S, d].

        Args:
            bias: added to scores, of a shape that spreads to [B, A, S, S].
        """
        k, v = repeat_heads(k, q.shape[1]), repeat_heads(v, q.shape[1])
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if bias is not None:
            scores = scores + bias
        if self.causal:
            scores = scores.masked_fill(_future(scores), -math.inf)
        mixed: Tensor = self.dropout(scores.softmax(-1)) @ v
        return mixed


def _future(scores: Tensor) -> Tensor:
    """[S, S], true where the key comes after the query."""
    size = scores.shape[-2:]
    return torch.ones(size, dtype=torch.bool, device=scores.device).triu(1)
