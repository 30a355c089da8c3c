"""Bottleneck adapters: small maps that learn inside of a network that does not (1902.00751)."""

from __future__ import annotations

from collections.abc import Callable

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


class PerTask(nn.Module):
    """One module for each task, of which one is in use: all are held, one works.

    Multi-task inference over one backbone keeps what differs between tasks side by side
    (adapter-ALBERT, arXiv 2303.16100).
    """

    def __init__(self, tasks: list[nn.Module]) -> None:
        super().__init__()
        self.tasks = nn.ModuleList(tasks)
        self.task = 0

    def forward(self, x: Tensor) -> Tensor:
        """As the module of the task in use."""
        output: Tensor = self.tasks[self.task](x)
        return output


def per_task(count: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What is made, once for each of so many tasks."""
    return make() if count == 1 else PerTask([make() for _ in range(count)])
