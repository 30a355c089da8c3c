"""Residual blocks: attention, then a feed-forward, each with a norm, around one stream."""

from __future__ import annotations

from torch import Tensor, nn


class PreNorm(nn.Module):
    """f(x) = adapter(dropout(function(norm(x)))): what a block adds to its stream.

    Functions of two sequences get the second one as it is.
    """

    def __init__(
        self, norm: nn.Module, function: nn.Module, dropout: float, adapter: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.norm = norm
        self.function = function
        self.dropout = nn.Dropout(dropout)
        self.adapter = adapter

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        added: Tensor = self.dropout(self.function(self.norm(x), *context))
        return added if self.adapter is None else self.adapter(added)


class PreNormBlock(nn.Module):
    """x <- x + attention(norm(x)); x <- x + feed_forward(norm(x)); either may be missing."""

    def __init__(self, attention: PreNorm | None, feed_forward: PreNorm | None) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        for part in (self.attention, self.feed_forward):
            if part is not None:
                x = x + part(x)
        return x


class PostNorm(nn.Module):
    """norm(x + adapter(dropout(function(x))))."""

    def __init__(
        self, norm: nn.Module, function: nn.Module, dropout: float, adapter: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.function = function
        self.dropout = nn.Dropout(dropout)
        self.adapter = adapter
        self.norm = norm

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        added = self.dropout(self.function(x, *context))
        result: Tensor = self.norm(x + (added if self.adapter is None else self.adapter(added)))
        return result


class PostNormBlock(nn.Module):
    """x <- norm(x + attention(x)); x <- norm(x + feed_forward(x)) (arXiv 1706.03762)."""

    def __init__(self, attention: PostNorm | None, feed_forward: PostNorm | None) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        for part in (self.attention, self.feed_forward):
            if part is not None:
                x = part(x)
        return x
