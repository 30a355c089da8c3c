"""Nystromformer: softmax attention through landmarks (arXiv 2102.03902)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NystromMixer(nn.Module):
    """softmax(Q K~^T) Z softmax(Q~ K^T) V with Z the pseudo-inverse of softmax(Q~ K~^T).

    Landmarks Q~, K~ [B, A, m, d] are means of S / m neighbours; Z comes of a few iterations
    (equation 13). Scores [B, A, S, m] twice and four m x m products an iteration. A depthwise
    convolution of V along the sequence may be added (section 3.3, "skip connection").
    """

    def __init__(
        self, num_heads: int, num_landmarks: int, iterations: int, conv_kernel_size: int | None
    ) -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        self.iterations = iterations
        self.conv = None
        if conv_kernel_size is not None:
            self.conv = nn.Conv2d(
                num_heads,
                num_heads,
                kernel_size=(conv_kernel_size, 1),
                padding=(conv_kernel_size // 2, 0),
                groups=num_heads,
                bias=False,
            )

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        scale = q.shape[-1] ** -0.25
        q, k = q * scale, k * scale
        q_landmarks, k_landmarks = self._landmarks(q), self._landmarks(k)
        to_landmarks = (q @ k_landmarks.transpose(-1, -2)).softmax(-1)
        among_landmarks = (q_landmarks @ k_landmarks.transpose(-1, -2)).softmax(-1)
        from_landmarks = (q_landmarks @ k.transpose(-1, -2)).softmax(-1)
        inverse = pseudo_inverse(among_landmarks, self.iterations)
        mixed: Tensor = (to_landmarks @ inverse) @ (from_landmarks @ v)
        return mixed if self.conv is None else mixed + self.conv(v)

    def _landmarks(self, x: Tensor) -> Tensor:
        """[B, A, S, d] -> [B, A, m, d]."""
        return torch.unflatten(x, 2, (self.num_landmarks, -1)).mean(3)


def pseudo_inverse(matrix: Tensor, iterations: int) -> Tensor:
    """[.., m, m] -> [.., m, m], by Z <- Z/4 (13 - K Z (15 - K Z (7 - K Z))).

    Z_0 = K^T / (largest column sum), of each matrix by itself; rows of K sum to 1.
    """
    identity = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
    columns = matrix.sum(-2).amax(-1)[..., None, None]
    inverse = matrix.transpose(-1, -2) / columns
    for _ in range(iterations):
        product = matrix @ inverse
        inner = 7 * identity - product
        inner = 15 * identity - product @ inner
        inverse = 0.25 * inverse @ (13 * identity - product @ inner)
    return inverse
