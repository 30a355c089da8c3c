"""Attention to the nearest tokens, exactly, in blocks (Longformer, arXiv 2004.05150)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.architecture.heads import repeat_heads
from planner.models.architecture.scores import attend


class SlidingWindowMixer(nn.Module):
    """Token i attends to those j with 0 <= i - j < w in decoders, |i - j| < w in encoders.

    The sequence is cut into S / w blocks; each block of queries meets its own block of keys, the
    one before, and in encoders the one after: scores [B, A, S/w, w, 2w or 3w]. Keys and values are
    copied as often. The window is exact: a mask takes away what is in the blocks but not in it.
    """

    def __init__(self, window: int, causal: bool) -> None:
        super().__init__()
        self.window = window
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d], [B, A_kv, S, d], [B, A_kv, S, d] -> [B, A, S, d]."""
        k, v = repeat_heads(k, q.shape[1]), repeat_heads(v, q.shape[1])
        queries = torch.unflatten(q, 2, (-1, self.window))
        keys, values = self._neighbours(k), self._neighbours(v)
        outside = self._outside(queries.shape[2], q.device)
        return attend(queries, keys, values, outside).flatten(2, 3)

    def _neighbours(self, x: Tensor) -> Tensor:
        """[B, A, S, d] -> [B, A, S/w, 2w or 3w, d]: each block with those beside it."""
        w = self.window
        width = 2 * w if self.causal else 3 * w
        padded = F.pad(x, (0, 0, w, 0 if self.causal else w))
        return padded.unfold(2, width, w).transpose(-1, -2)

    def _outside(self, blocks: int, device: torch.device) -> Tensor:
        """[S/w, w, 2w or 3w], true for keys outside of the window or of the sequence."""
        w = self.window
        query = torch.arange(w, device=device)[:, None] + w  # places within the padded blocks
        key = torch.arange(2 * w if self.causal else 3 * w, device=device)
        distance = query - key
        far = (distance >= w) | (distance <= (-1 if self.causal else -w))
        place = key + w * (torch.arange(blocks, device=device)[:, None] - 1)
        missing = (place < 0) | (place >= blocks * w)
        return far | missing[:, None]
