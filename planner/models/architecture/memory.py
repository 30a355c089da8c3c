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

    With score "released" it is as the authors' code has it (compute_code_score/kernel.py:
    `compute_code_score_torch`, and `MemoryLayer`), whose t is 1: p(z) sum_i |z_i| instead of p(z),
    the first bit as the highest one, and a bias on y.

    2^tau H out / tau parameters: at tau = 8 that is 32 times the matrix. FLOPs fall, memory rises.

    `embedding_bag` sums rows inside of one kernel; `gather` saves B S K out numbers for backward.
    """

    powers: Tensor
    first_rows: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bits: int,
        temperature: float,
        lookup: str,
        score: str = "paper",
    ) -> None:
        super().__init__()
        tables = in_features // bits
        self.bits = bits
        self.temperature = temperature
        self.lookup = lookup
        self.score = score
        self.weight = nn.Parameter(torch.empty(tables << bits, out_features))
        nn.init.normal_(self.weight, std=0.02)
        self.bias = None
        powers = 2 ** torch.arange(bits)
        if score == "released":
            self.bias = nn.Parameter(torch.empty(out_features))
            nn.init.normal_(self.bias, std=0.001)
            powers = powers.flip(0)
        self.register_buffer("powers", powers, persistent=False)
        self.register_buffer("first_rows", torch.arange(tables) << bits, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., out]."""
        return self.read(*self.hash(x))

    def hash(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (int64) and scores, [.., K] each."""
        parts = torch.unflatten(x, -1, (-1, self.bits))
        codes = ((parts >= 0) * self.powers).sum(-1)
        # log(1 + exp(-2 |z| / t)) is -log sigmoid(2 |z| / t): a product would read its zeros back.
        sizes = parts.abs()
        probability = (-F.softplus(sizes * (-2 / self.temperature)).sum(-1)).exp()
        score = probability * sizes.sum(-1) if self.score == "released" else probability
        return codes + self.first_rows, score

    def read(self, rows: Tensor, score: Tensor) -> Tensor:
        """[.., K], [.., K] -> [.., out]."""
        weights = score.to(self.weight.dtype)
        if self.lookup == "gather":
            output = (F.embedding(rows, self.weight) * weights.unsqueeze(-1)).sum(-2)
        else:
            weights = weights.flatten(0, -2)
            bags = F.embedding_bag(
                rows.flatten(0, -2), self.weight, mode="sum", per_sample_weights=weights
            )
            output = torch.unflatten(bags, 0, rows.shape[:-1])
        return output if self.bias is None else output + self.bias


class MemoryFeedForward(nn.Module):
    """y = ML_2(norm(ML_1(x))) without an activation: the hash is what is not linear.

    ML_1 has K = H / tau tables and makes K (tau + e) numbers; the K tables of ML_2 have
    2^(tau + e) rows of H.
    """

    def __init__(
        self,
        hidden: int,
        bits: int,
        expansion_bits: int,
        temperature: float,
        lookup: str,
        score: str = "paper",
    ) -> None:
        super().__init__()
        wider = bits + expansion_bits
        inner = hidden // bits * wider
        self.first = MemoryLayer(hidden, inner, bits, temperature, lookup, score)
        self.norm = nn.LayerNorm(inner)
        self.second = MemoryLayer(inner, hidden, wider, temperature, lookup, score)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        output: Tensor = self.second(self.norm(self.first(x)))
        return output
