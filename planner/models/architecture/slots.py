"""Memformer's memory: slots written by attention, that forget (arXiv 2010.06891, section 3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MemorySlots(nn.Module):
    """M_{t+1} of M_t and the last block's outputs x.

    Slot i attends to itself and to all tokens, not to other slots (memory slot attention):
    m_i <- softmax([q_i k_i; q_i K_x] / (sqrt(d) tau)) [m_i; V_x] with q = m W_Q, k = m W_K,
    K_x = x W_K, V_x = x W_V. Then it forgets (biased memory normalisation): m_i <- m_i + v_i;
    m_i <- m_i / ||m_i||, where v is learned and M_0 = v / ||v||. A slot that attends to itself
    alone only drifts towards v.

    3 H^2 + M H parameters; scores are [B, A, M, 1 + S].

    Args:
        num_heads: A.
        temperature: tau.
    """

    def __init__(self, hidden: int, slots: int, num_heads: int, temperature: float) -> None:
        super().__init__()
        self.q_proj = nn.Linear(hidden, hidden, bias=False)
        self.k_proj = nn.Linear(hidden, hidden, bias=False)
        self.v_proj = nn.Linear(hidden, hidden, bias=False)
        self.bias = nn.Parameter(torch.empty(slots, hidden))
        nn.init.normal_(self.bias, std=0.02)
        self.num_heads = num_heads
        self.temperature = temperature

    def initial(self, batch: int) -> Tensor:
        """M_0 [B, M, H]."""
        return F.normalize(self.bias, dim=-1).expand(batch, -1, -1)

    def forward(self, memory: Tensor, states: Tensor) -> Tensor:
        """[B, M, H], [B, S, H] -> [B, M, H]."""
        q, own_key = self._heads(self.q_proj(memory)), self._heads(self.k_proj(memory))
        keys, values = self._heads(self.k_proj(states)), self._heads(self.v_proj(states))
        own = (q * own_key).sum(-1, keepdim=True)
        scores = torch.cat([own, q @ keys.transpose(-1, -2)], dim=-1)
        scale = math.sqrt(q.shape[-1]) * self.temperature
        weights = (scores / scale).softmax(-1)
        kept, written = torch.split(weights, [1, keys.shape[2]], dim=-1)
        mixed = kept * self._heads(memory) + written @ values
        updated = mixed.transpose(1, 2).flatten(2)
        return F.normalize(updated + self.bias, dim=-1)

    def _heads(self, x: Tensor) -> Tensor:
        """[B, N, H] -> [B, A, N, d]."""
        return torch.unflatten(x, -1, (self.num_heads, -1)).transpose(1, 2)
