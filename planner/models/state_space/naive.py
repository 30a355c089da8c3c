"""The selective scan token by token, with every state kept for backward."""

from __future__ import annotations

import torch
from torch import Tensor


def naive_scan(u: Tensor, delta: Tensor, a_log: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """y_t = C_t h_t with h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t and A = -exp(a_log).

    By autograd, as the path of `transformers` without kernels computes it: decays, inputs and
    states of all tokens are kept, several times B S D N numbers.

    Args:
        u, delta: [B, S, D].
        a_log: [D, N].
        b, c: [B, S, N].

    Returns:
        [B, S, D].
    """
    decay = torch.exp(delta.unsqueeze(-1) * -torch.exp(a_log))
    added = (delta * u).unsqueeze(-1) * b.unsqueeze(2)
    state = torch.zeros_like(added[:, 0])
    outputs = []
    for token in range(u.shape[1]):
        state = decay[:, token] * state + added[:, token]
        outputs.append((state @ c[:, token].unsqueeze(-1)).squeeze(-1))
    return torch.stack(outputs, dim=1)
