"""MemoryFormer's memory layer: rows of tables instead of a matrix (arXiv 2411.12992)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MemoryLayer(nn.Module):
    """y = sum_k p(z_k) T_k[h(z_k)], with x [.., H] split into K parts z_k of tau numbers each.

    h(z) = sum_i [z_i >= 0] 2^i is a code of tau bits and T_k [2^tau, out] the k-th table. The
    code's probability p(z) = prod_i sigmoid(2 |z_i| / t) lets gradients reach x, and for |z| -> 0
    falls to 2^-tau. Inputs must be normalised: without signs on both sides few rows are read.

    2^tau H out / tau parameters: at tau = 8 that is 32 times the matrix. FLOPs fall, memory rises.
    The published code divides by another score (sum |z| over the product); here it is the paper's.

    `embedding_bag` sums rows inside of one kernel; `gather` saves B S K out numbers for backward.
    """

    powers: Tensor
    first_rows: Tensor

    def __init__(
        self, in_features: int, out_features: int, bits: int, temperature: float, lookup: str
    ) -> None:
        super().__init__()
        tables = in_features // bits
        self.bits = bits
        self.temperature = temperature
        self.lookup = lookup
        self.weight = nn.Parameter(torch.empty(tables << bits, out_features))
        nn.init.normal_(self.weight, std=0.02)
        self.register_buffer("powers", 2 ** torch.arange(bits), persistent=False)
        self.register_buffer("first_rows", torch.arange(tables) << bits, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., out]."""
        return self.read(*self.hash(x))

    def hash(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (int64) and probabilities, [.., K] each."""
        parts = torch.unflatten(x, -1, (-1, self.bits))
        codes = ((parts >= 0) * self.powers).sum(-1)
        # log(1 + exp(-2 |z| / t)) is -log sigmoid(2 |z| / t): a product would read its zeros back.
        log_probability = -F.softplus(parts.abs() * (-2 / self.temperature)).sum(-1)
        return codes + self.first_rows, log_probability.exp()

    def read(self, rows: Tensor, probability: Tensor) -> Tensor:
        """[.., K], [.., K] -> [.., out]."""
        weights = probability.to(self.weight.dtype)
        if self.lookup == "gather":
            return (F.embedding(rows, self.weight) * weights.unsqueeze(-1)).sum(-2)
        bags = F.embedding_bag(
            rows.flatten(0, -2), self.weight, mode="sum", per_sample_weights=weights.flatten(0, -2)
        )
        return torch.unflatten(bags, 0, rows.shape[:-1])


class MemoryFeedForward(nn.Module):
    """y = ML_2(norm(ML_1(x))) without an activation: the hash is what is not linear.

    ML_1 has K = H / tau tables and makes K (tau + e) numbers; the K tables of ML_2 have
    2^(tau + e) rows of H.
    """

    def __init__(
        self, hidden: int, bits: int, expansion_bits: int, temperature: float, lookup: str
    ) -> None:
        super().__init__()
        wider = bits + expansion_bits
        inner = hidden // bits * wider
        self.first = MemoryLayer(hidden, inner, bits, temperature, lookup)
        self.norm = nn.LayerNorm(inner)
        self.second = MemoryLayer(inner, hidden, wider, temperature, lookup)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        output: Tensor = self.second(self.norm(self.first(x)))
        return output
