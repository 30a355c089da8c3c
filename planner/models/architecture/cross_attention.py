"""Attention from one sequence to another (arXiv 1706.03762, section 3.2.3), and its blocks."""

from __future__ import annotations

from torch import Tensor, nn

from planner.architecture import ArchitectureModel
from planner.architecture.attention import Attention, Dense, LinearProjection
from planner.models.architecture.blocks import PostNorm, PreNorm
from planner.models.architecture.dense import EagerMixer, SdpaMixer
from planner.models.architecture.heads import LinearQKV, MultiHeadAttention
from planner.models.architecture.projections import linear


def build_cross_attention(model: ArchitectureModel, spec: Attention) -> MultiHeadAttention:
    """The module [B, S, H], [B, N, H] -> [B, S, H], with scores [B, A, S, N].

    Rotary positions turn nothing here: places in two sequences have no distance.
    """
    assert isinstance(spec, Dense), "the rules ask for it"
    assert isinstance(spec.projection, LinearProjection), "the rules ask for it"
    head_dim = spec.head_dim or model.hidden_size // spec.num_heads
    width = spec.num_heads * head_dim
    values = (spec.num_key_value_heads or spec.num_heads) * head_dim
    bias, rank = spec.projection.bias, spec.projection.rank
    mixer = SdpaMixer if spec.implementation == "sdpa" else EagerMixer
    return MultiHeadAttention(
        LinearQKV(model.hidden_size, width, values, bias=bias, rank=rank, shared=False),
        mixer(False, spec.attention_dropout),
        linear(width, model.hidden_size, bias=bias, rank=rank),
        head_dim,
        rotary=None,
    )


class PreNormCrossBlock(nn.Module):
    """Attention, cross-attention and feed-forward, each x <- x + f(norm(x)); the context has been
    normed by what made it. Either of the two others may be missing.
    """

    def __init__(
        self, attention: PreNorm | None, cross_attention: PreNorm, feed_forward: PreNorm | None
    ) -> None:
        super().__init__()
        self.attention = attention
        self.cross_attention = cross_attention
        self.feed_forward = feed_forward

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[B, S, H], [B, N, H] -> [B, S, H]."""
        if self.attention is not None:
            x = x + self.attention(x)
        x = x + self.cross_attention(x, context)
        return x if self.feed_forward is None else x + self.feed_forward(x)


class PostNormCrossBlock(nn.Module):
    """Attention, cross-attention and feed-forward, each x <- norm(x + f(x)) (arXiv 1706.03762,
    section 3.1). Either of the two others may be missing.
    """

    def __init__(
        self, attention: PostNorm | None, cross_attention: PostNorm, feed_forward: PostNorm | None
    ) -> None:
        super().__init__()
        self.attention = attention
        self.cross_attention = cross_attention
        self.feed_forward = feed_forward

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """[B, S, H], [B, N, H] -> [B, S, H]."""
        if self.attention is not None:
            x = self.attention(x)
        x = self.cross_attention(x, context)
        return x if self.feed_forward is None else self.feed_forward(x)
