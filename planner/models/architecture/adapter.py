"""Bottleneck adapters: small maps that learn inside of a network that does not (1902.00751)."""

from __future__ import annotations

from torch import Tensor, nn

from planner.models.architecture.feed_forward import Activation

_STD = 1e-3
"""Of the weights at the start, so that an adapter begins close to the identity
(google-research/adapter-bert, modeling.py: `feedforward_adapter`, init_scale)."""


class Adapter(nn.Module):
    """y = x + act(x W_1) W_2 with W_1 [H, m] and W_2 [m, H]; 2 H m + H + m parameters."""

    def __init__(self, hidden: int, size: int, activation: str) -> None:
        super().__init__()
        self.down_proj = nn.Linear(hidden, size)
        self.activation = Activation(activation)
        self.up_proj = nn.Linear(size, hidden)
        for layer in (self.down_proj, self.up_proj):
            nn.init.normal_(layer.weight, std=_STD)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        adapted: Tensor = x + self.up_proj(self.activation(self.down_proj(x)))
        return adapted
