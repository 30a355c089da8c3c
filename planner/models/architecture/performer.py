"""Performer: softmax attention estimated by positive orthogonal features (arXiv 2009.14794)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from planner.models.architecture.linear import linear_attention

_SOFTMAX_EPSILON = 1e-4  # of features, as in the authors' code (google-research/performer)
_RELU_EPSILON = 1e-3


class PerformerMixer(nn.Module):
    """FAVOR+: linear attention over phi(x) = exp(W x' - |x'|^2 / 2 - c) / sqrt(m) with x' = x /
    d^(1/4), since E[phi(q) . phi(k)] = exp(q . k / sqrt d); or phi(x) = relu(W x) ("generalised
    attention").

    W [m, d] is Gaussian with orthogonal rows in each block of d (section 2.4), of norms drawn as
    of Gaussian vectors. c is the largest exponent: of each query, and of all keys of a head, where
    it cancels but for the epsilon (in decoders too: the authors' code does so). Computed in fp32.

    B A S m numbers for each of phi(Q), phi(K) and their exponents: more than Q and K where m > d.

    Args:
        num_features: m; None: d ln d.
        redraw_interval: training steps after which `redraw` draws W anew.
        chunk_size: of causal attention; None: every token sees all.
    """

    projection: Tensor

    def __init__(
        self,
        head_dim: int,
        num_features: int | None,
        features: str,
        redraw_interval: int | None,
        chunk_size: int | None,
    ) -> None:
        super().__init__()
        count = num_features or max(1, int(head_dim * math.log(head_dim)))
        self.features = features
        self.redraw_interval = redraw_interval
        self.chunk_size = chunk_size
        self.register_buffer("projection", torch.empty(count, head_dim, dtype=torch.float32))
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Draw W anew, in place."""
        for block in torch.split(self.projection, self.projection.shape[1]):
            nn.init.orthogonal_(block)
        norms = torch.empty_like(self.projection)
        nn.init.normal_(norms, std=1.0)
        self.projection.mul_(norms.norm(dim=1, keepdim=True))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        with torch.autocast(q.device.type, enabled=False):
            if self.features == "relu":
                phi_q, phi_k = self._relu(q.float()), self._relu(k.float())
            else:
                phi_q, phi_k = self._softmax(q.float(), (-1,)), self._softmax(k.float(), (-1, -2))
            mixed = linear_attention(phi_q, phi_k, v.float(), chunk_size=self.chunk_size)
            return mixed.to(v.dtype)

    def _softmax(self, x: Tensor, stabilised: tuple[int, ...]) -> Tensor:
        """[B, A, S, d] -> [B, A, S, m]."""
        x = x * x.shape[-1] ** -0.25
        exponents = x @ self.projection.T - x.square().sum(-1, keepdim=True) / 2
        largest = exponents.detach().amax(stabilised, keepdim=True)
        scale: float = self.projection.shape[0] ** -0.5
        return ((exponents - largest).exp() + _SOFTMAX_EPSILON) * scale

    def _relu(self, x: Tensor) -> Tensor:
        """[B, A, S, d] -> [B, A, S, m]."""
        return (x @ self.projection.T).relu() + _RELU_EPSILON
