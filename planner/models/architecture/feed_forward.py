"""Feed-forwards of matrices, whole or in parts of the sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from planner.models.architecture.projections import linear


class Activation(nn.Module):
    """A function of single numbers, by its name in descriptions."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """[..] -> [..]."""
        if self.name == "gelu_tanh":
            return F.gelu(x, approximate="tanh")
        if self.name == "tanh":
            return x.tanh()
        if self.name == "gelu":
            return F.gelu(x)
        return F.relu(x) if self.name == "relu" else F.silu(x)


class DenseFeedForward(nn.Module):
    """y = act(x W_1) W_2 with F numbers between (arXiv 1706.03762, section 3.3)."""

    def __init__(
        self, hidden: int, intermediate: int, activation: str, bias: bool, rank: int | None
    ) -> None:
        super().__init__()
        self.up_proj = linear(hidden, intermediate, bias=bias, rank=rank)
        self.activation = Activation(activation)
        self.down_proj = linear(intermediate, hidden, bias=bias, rank=rank)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        output: Tensor = self.down_proj(self.activation(self.up_proj(x)))
        return output


class DeepFeedForward(nn.Module):
    """Several layers: y = act(.. act(x W_1) ..) W_n (FlexiBERT, arXiv 2205.11656).

    Args:
        intermediate: the layers' widths.
    """

    def __init__(
        self, hidden: int, intermediate: list[int], activation: str, bias: bool, rank: int | None
    ) -> None:
        super().__init__()
        sizes = zip([hidden, *intermediate], intermediate, strict=False)
        self.layers = nn.ModuleList(linear(*size, bias=bias, rank=rank) for size in sizes)
        self.activation = Activation(activation)
        self.down_proj = linear(intermediate[-1], hidden, bias=bias, rank=rank)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        for layer in self.layers:
            x = self.activation(layer(x))
        output: Tensor = self.down_proj(x)
        return output


class GatedFeedForward(nn.Module):
    """y = (act(x W_1) * x W_3) W_2 (GLU variants, arXiv 2002.05202)."""

    def __init__(
        self, hidden: int, intermediate: int, activation: str, bias: bool, rank: int | None
    ) -> None:
        super().__init__()
        self.gate_proj = linear(hidden, intermediate, bias=bias, rank=rank)
        self.up_proj = linear(hidden, intermediate, bias=bias, rank=rank)
        self.activation = Activation(activation)
        self.down_proj = linear(intermediate, hidden, bias=bias, rank=rank)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        output: Tensor = self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))
        return output


class ChunkedFeedForward(nn.Module):
    """A feed-forward over parts of the sequence (Reformer, arXiv 2001.04451, section 3).

    Parts alone would save all that the whole saves; each is recomputed in backward, so that only
    one part's intermediate numbers exist at a time.
    """

    def __init__(self, feed_forward: nn.Module, chunks: int) -> None:
        super().__init__()
        self.feed_forward = feed_forward
        self.chunks = chunks

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        parts = x.chunk(self.chunks, dim=1)
        if torch.is_grad_enabled():
            return torch.cat(
                [checkpoint(self.feed_forward, part, use_reentrant=False) for part in parts], dim=1
            )
        return torch.cat([self.feed_forward(part) for part in parts], dim=1)
