"""Attention that hands its queries and keys over, to those who decide about tokens by them."""

from __future__ import annotations

from torch import Tensor, nn

from planner.models.architecture.blocks import PostNorm, PreNorm
from planner.models.architecture.heads import MultiHeadAttention


class KeyedAttention(MultiHeadAttention):
    """Multi-head attention whose queries and keys are results too."""

    def forward(  # type: ignore[override]
        self, x: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, H] -> [B, S, H], [B, A, S, d], [B, A_kv, S, d].

        Args:
            bias: [B, 1, 1, S], added to scores; mixers of dense attention take one.
        """
        q, k, v = (self._split(part) for part in self.qkv(x))
        mixed = self.mixer(q, k, v) if bias is None else self.mixer(q, k, v, bias)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), q, k


class KeyedPreNorm(PreNorm):
    """x + dropout(attention(norm(x))), with the attention's queries and keys."""

    def forward(  # type: ignore[override]
        self, x: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, H] -> [B, S, H], [B, A, S, d], [B, A_kv, S, d]."""
        mixed, q, k = self.function(self.norm(x), bias)
        return x + self.dropout(mixed), q, k


class KeyedPostNorm(PostNorm):
    """norm(x + dropout(attention(x))), with the attention's queries and keys."""

    def forward(  # type: ignore[override]
        self, x: Tensor, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, S, H] -> [B, S, H], [B, A, S, d], [B, A_kv, S, d]."""
        mixed, q, k = self.function(x, bias)
        return self.norm(x + self.dropout(mixed)), q, k


def feed(feed_forward: nn.Module | None, x: Tensor) -> Tensor:
    """The second half of a block: a `PreNorm` adds to the stream, a `PostNorm` makes it anew."""
    if feed_forward is None:
        return x
    result: Tensor = feed_forward(x)
    return x + result if isinstance(feed_forward, PreNorm) else result
