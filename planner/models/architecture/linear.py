"""Linear attention (arXiv 2006.16236): phi(Q) (phi(K)^T V), never Q K^T."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6  # of the denominator, as in the authors' code (idiap/fast-transformers)


def linear_attention(
    q: Tensor, k: Tensor, v: Tensor, *, chunk_size: int | None, epsilon: float = _EPSILON
) -> Tensor:
    """y_i = sum_j (q_i . k_j) v_j / sum_j q_i . k_j, for features q and k that are not negative.

    Over all j by one state K^T V [B, A, m, d]. Causally (j <= i) in chunks of C: each has the state
    of those before it [B, A, S/C, m, d] and scores within itself [B, A, S/C, C, C]. A cumulative
    sum over tokens would take S m d numbers a head instead.

    Args:
        q, k: [B, A, S, m].
        v: [B, A, S, d].
        chunk_size: C of causal attention; None: every token sees all.
    """
    if chunk_size is None:
        numerator = q @ (k.transpose(-1, -2) @ v)
        denominator = q @ k.sum(-2).unsqueeze(-1)
        return numerator / (denominator + epsilon)
    q, k, v = (torch.unflatten(x, 2, (-1, chunk_size)) for x in (q, k, v))
    scores = (q @ k.transpose(-1, -2)).tril()
    numerator = scores @ v + q @ _before(k.transpose(-1, -2) @ v)
    denominator = scores.sum(-1, keepdim=True) + q @ _before(k.sum(-2).unsqueeze(-1))
    return (numerator / (denominator + epsilon)).flatten(2, 3)


def _before(states: Tensor) -> Tensor:
    """[B, A, S/C, m, d] -> the sums over the chunks before each one."""
    return F.pad(states.cumsum(2)[:, :, :-1], (0, 0, 0, 0, 1, 0))


class LinearMixer(nn.Module):
    """Attention with phi(x) = elu(x) + 1, computed in fp32: sums over S lose too much in 16 bits.

    Args:
        chunk_size: of causal attention; None: every token sees all.
    """

    def __init__(self, chunk_size: int | None) -> None:
        super().__init__()
        self.chunk_size = chunk_size

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        with torch.autocast(q.device.type, enabled=False):
            phi_q, phi_k = F.elu(q.float()) + 1, F.elu(k.float()) + 1
            mixed = linear_attention(phi_q, phi_k, v.float(), chunk_size=self.chunk_size)
            return mixed.to(v.dtype)
