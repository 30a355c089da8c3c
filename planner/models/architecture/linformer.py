"""Linformer: keys and values projected along the sequence (arXiv 2006.04768)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from planner.models.architecture.scores import attend


def sequence_projection(heads: int, k: int, max_tokens: int) -> nn.Parameter:
    """E [heads or 1, k, P], drawn from N(0, 1/k) as the paper's Johnson-Lindenstrauss argument."""
    weight = nn.Parameter(torch.empty(heads, k, max_tokens))
    nn.init.normal_(weight, std=k**-0.5)
    return weight


class LinformerMixer(nn.Module):
    """softmax(Q (E K)^T / sqrt d) (F V): scores [B, A, S, k].

    Sequences shorter than the P positions that E and F were made for use their first columns.

    Args:
        e: [A or 1, k, P], of keys.
        f: the same of values; the same parameter where E and F are shared.
    """

    def __init__(self, e: nn.Parameter, f: nn.Parameter) -> None:
        super().__init__()
        self.e = e
        self.f = f

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        length = k.shape[2]
        return attend(q, self.e[..., :length] @ k, self.f[..., :length] @ v, None)
