"""ToMe: in every block the most similar tokens become one (arXiv 2210.09461)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from planner.models.architecture.keyed import KeyedPostNorm, KeyedPreNorm, feed


@dataclass(frozen=True)
class Matching:
    """Which tokens of set A (those at even places) are merged into which of set B (the others).

    Attributes:
        unmerged: [B, |A| - r, 1] places in A.
        merged: [B, r, 1] places in A.
        into: [B, r, 1] places in B.
    """

    unmerged: Tensor
    merged: Tensor
    into: Tensor

    def sums(self, x: Tensor) -> Tensor:
        """[B, S, n] -> [B, S - r, n]: what is left of A, then B with what was merged into it."""
        a, b, width = x[:, ::2], x[:, 1::2], x.shape[-1]
        stays = a.gather(1, self.unmerged.expand(-1, -1, width))
        moves = a.gather(1, self.merged.expand(-1, -1, width))
        return torch.cat([stays, b.scatter_add(1, self.into.expand(-1, -1, width), moves)], dim=1)


def bipartite_soft_matching(metric: Tensor, r: int, has_first: bool) -> Matching:
    """The r pairs of largest cosine similarity, one for each token of A (section 3 of the paper).

    Similarities of all pairs [B, |A|, |B|] exist for as long as this takes; nothing has gradients.

    Args:
        metric: [B, S, d] of tokens.
        has_first: the first token, which is in A, is merged into none and stays first.
    """
    with torch.no_grad():
        metric = metric / metric.norm(dim=-1, keepdim=True)
        scores = metric[:, ::2] @ metric[:, 1::2].transpose(1, 2)
        if has_first:
            scores[:, 0] = -math.inf
        best, into = scores.max(dim=-1)
        order = best.argsort(dim=-1, descending=True).unsqueeze(-1)
        unmerged, merged = order[:, r:], order[:, :r]
        if has_first:
            unmerged = unmerged.sort(dim=1).values
        return Matching(unmerged, merged, into.unsqueeze(-1).gather(1, merged))


class TokenMerging(nn.Module):
    """x [B, S, H] -> [B, S - r, H]: means of merged tokens, weighted by their sizes."""

    def __init__(self, r: int, has_first: bool) -> None:
        super().__init__()
        self.r = r
        self.has_first = has_first

    def forward(self, x: Tensor, keys: Tensor, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        """Args:
        keys: [B, A, S, d]; their mean over heads says how alike tokens are.
        sizes: [B, S, 1], how many tokens each stands for; None: one.

        Returns:
            the tokens that go on, and their sizes.
        """
        if sizes is None:
            sizes = torch.ones_like(x[..., :1])
        if self.r == 0:
            return x, sizes
        matching = bipartite_soft_matching(keys.mean(1), self.r, self.has_first)
        sums = matching.sums(x * sizes)
        sizes = matching.sums(sizes)
        return sums / sizes, sizes


class MergingBlock(nn.Module):
    """Attention, merging, feed-forward.

    Args:
        proportional: scores get the log of the key's size, so that a merged token weighs as much
            as those that it stands for.
    """

    def __init__(
        self,
        attention: KeyedPreNorm | KeyedPostNorm,
        merging: TokenMerging,
        feed_forward: nn.Module | None,
        proportional: bool,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.merging = merging
        self.feed_forward = feed_forward
        self.proportional = proportional

    def forward(self, x: Tensor, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, S, H], [B, S, 1] -> [B, S - r, H], [B, S - r, 1]."""
        bias = None
        if self.proportional and sizes is not None:
            bias = sizes.log().view(len(sizes), 1, 1, -1)
        x, _, keys = self.attention(x, bias)
        x, sizes = self.merging(x, keys, sizes)
        return feed(self.feed_forward, x), sizes
