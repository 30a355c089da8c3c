"""From token ids or pixels to vectors of hidden_size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TokenEmbedding(nn.Module):
    """x = dropout(W[id] + P[position]) M, with W [V, E] and, where E < H, M [E, H].

    V E + E H parameters instead of V H (ALBERT, arXiv 1909.11942, section 3.1).

    Args:
        words: W; another embedding's may have the same weight.
        positions: makes [S, E] of S; None: added by other means, or not at all.
    """

    def __init__(
        self, words: nn.Embedding, hidden: int, positions: nn.Module | None, dropout: float
    ) -> None:
        super().__init__()
        size = words.embedding_dim
        self.word_embeddings = words
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(size, hidden) if size != hidden else None

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, S] -> [B, S, H]."""
        x = self.word_embeddings(input_ids)
        if self.positions is not None:
            x = x + self.positions(input_ids.shape[1])
        x = self.dropout(x)
        embedded: Tensor = x if self.projection is None else self.projection(x)
        return embedded


class TrigramEmbedding(nn.Module):
    """x_i = dropout([W[id_i+1], W[id_i], W[id_i-1]] M + b + P[i]), with W [V, E] and M [3 E, H]: a
    convolution over three tokens, zeros beyond the ends (MobileBERT, arXiv 2004.02984, section 3).

    The three vectors side by side are as `transformers` has them.

    Args:
        positions: makes [S, H] of S; None: added by other means, or not at all.
    """

    def __init__(
        self, vocab_size: int, size: int, hidden: int, positions: nn.Module | None, dropout: float
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, size)
        nn.init.normal_(self.word_embeddings.weight, std=0.02)
        self.projection = nn.Linear(3 * size, hidden)
        self.positions = positions
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, S] -> [B, S, H]."""
        x = self.word_embeddings(input_ids)
        following, before = F.pad(x[:, 1:], (0, 0, 0, 1)), F.pad(x[:, :-1], (0, 0, 1, 0))
        x = self.projection(torch.cat([following, x, before], dim=-1))
        if self.positions is not None:
            x = x + self.positions(input_ids.shape[1])
        embedded: Tensor = self.dropout(x)
        return embedded


class PatchEmbedding(nn.Module):
    """Squares of P x P pixels, each by one linear map, and learned positions (arXiv 2010.11929).

    Args:
        class_token: a learned token stands before the patches.
        positions: whether there are any.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_channels: int,
        hidden: int,
        class_token: bool,
        dropout: float,
        positions: bool = True,
    ) -> None:
        super().__init__()
        self.projection = nn.Conv2d(num_channels, hidden, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.empty(1, 1, hidden)) if class_token else None
        count = (image_size // patch_size) ** 2 + class_token
        self.positions = nn.Parameter(torch.empty(count, hidden)) if positions else None
        for weight in (self.class_token, self.positions):
            if weight is not None:
                nn.init.normal_(weight, std=0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """[B, channels, side, side] -> [B, patches (+ 1), H]."""
        x = self.projection(pixel_values).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        if self.positions is not None:
            x = x + self.positions
        embedded: Tensor = self.dropout(x)
        return embedded
