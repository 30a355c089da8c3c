"""Reformer: attention among queries of like hashes (arXiv 2001.04451, section 2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SELF_SCORE = -1e5  # a token sees itself only if it sees nothing else, as in google/trax


class LSHMixer(nn.Module):
    """softmax over tokens of like hashes h(q) = argmax [q R; -q R], R [d, buckets / 2] Gaussian.

    Keys are queries of length 1. In each of n_r rounds tokens are sorted by bucket, then cut into
    chunks of c; a chunk sees itself and the one before: scores [B, A, n_r S/c, c, 2c]. Rounds are
    weighed by their softmax's denominator. R is drawn in every forward; buckets, order and its
    inverse are int64 numbers of [B, A, n_r S] each.
    """

    def __init__(self, num_hashes: int, num_buckets: int, chunk_size: int, causal: bool) -> None:
        super().__init__()
        self.num_hashes = num_hashes
        self.num_buckets = num_buckets
        self.chunk_size = chunk_size
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]; keys are made of the queries, `k` is not looked at."""
        length = q.shape[2]
        order = self._order(q.detach())
        position = self._chunks(order % length)
        queries, values = (self._chunks(_gather(x, order % length)) for x in (q, v))
        keys = self._with_previous(F.normalize(queries, dim=-1))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = self._masked(scores, position)
        weight = scores.logsumexp(-1, keepdim=True)
        mixed = (scores - weight).exp() @ self._with_previous(values)
        # Back to the order of tokens, round by round.
        undo = order.argsort(-1)
        mixed, weight = (
            torch.unflatten(_gather(x.flatten(2, 3), undo), 2, (self.num_hashes, length))
            for x in (mixed, weight)
        )
        combined: Tensor = (mixed * weight.softmax(2)).sum(2)
        return combined.to(v.dtype)

    def _order(self, q: Tensor) -> Tensor:
        """[B, A, n_r S]: places of tokens (round x S + token) sorted by round, bucket and token."""
        shape = (q.shape[1], q.shape[3], self.num_hashes * self.num_buckets // 2)
        rotated = q @ torch.randn(shape, dtype=q.dtype, device=q.device)
        rotated = torch.unflatten(rotated, -1, (self.num_hashes, -1)).transpose(2, 3)
        bucket = torch.cat([rotated, -rotated], dim=-1).argmax(-1)  # [B, A, n_r, S]
        rounds = torch.arange(self.num_hashes, device=q.device)[:, None] * self.num_buckets
        return (bucket + rounds).flatten(2).argsort(dim=-1, stable=True)

    def _chunks(self, x: Tensor) -> Tensor:
        """[B, A, n_r S, ..] -> [B, A, n_r S/c, c, ..]."""
        return torch.unflatten(x, 2, (-1, self.chunk_size))

    def _with_previous(self, x: Tensor) -> Tensor:
        """[B, A, n, c, ..] -> [B, A, n, 2c, ..]; before the first chunk comes the last."""
        return torch.cat([x.roll(1, dims=2), x], dim=3)

    def _masked(self, scores: Tensor, position: Tensor) -> Tensor:
        own = position.unsqueeze(-1)
        other = self._with_previous(position).unsqueeze(-2)
        if self.causal:
            scores = scores.masked_fill(other > own, -math.inf)
        return scores.masked_fill(other == own, _SELF_SCORE)


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """[B, A, n, d], [B, A, m] -> [B, A, m, d]."""
    return x.gather(2, index.unsqueeze(-1).expand(-1, -1, -1, x.shape[-1]))
